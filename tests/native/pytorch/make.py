"""Writes NAME.onnx and NAME.json (the model's answer to some examples) for each model below.

Made once, with PyTorch 1.13 (python3-torch and python3-onnx of Debian 12):
    python3 make.py
"""
import json

import torch
from torch import nn


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return torch.relu(x + self.norm(self.conv(x)))


class LastState(nn.Module):
    """A GRU, of which the last state is classified."""

    def __init__(self, **options):
        super().__init__()
        self.gru = nn.GRU(5, 6, batch_first=True, **options)
        self.head = nn.Linear(12 if options.get('bidirectional') else 6, 4)

    def forward(self, x):
        states, last = self.gru(x)
        return self.head(states.mean(1) if self.gru.bidirectional else last[-1])


class Attention(nn.Module):
    """Self-attention as people write it by hand, causal or not."""

    def __init__(self, width, heads, causal):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        batch, steps, width = x.shape
        qkv = self.qkv(x).reshape(batch, steps, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) / (width // self.heads) ** 0.5
        if self.causal:
            scores = scores.masked_fill(torch.triu(torch.ones(steps, steps), 1).bool(), float('-inf'))
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, steps, width))


class Text(nn.Module):
    """A small GPT."""

    def __init__(self):
        super().__init__()
        self.symbols, self.places = nn.Embedding(11, 8), nn.Parameter(torch.randn(6, 8) * 0.1)
        self.first, self.second = nn.LayerNorm(8), nn.LayerNorm(8)
        self.attention = Attention(8, 2, True)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.head = nn.Linear(8, 11, bias=False)

    def forward(self, ids):
        x = self.symbols(ids) + self.places
        x = x + self.attention(self.first(x))
        x = x + self.mlp(self.second(x))
        return self.head(x)


class Encoder(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, **options)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.layer(x).mean(1))


IMAGE = (2, 8, 6)
MODELS = {
    'mlp': (nn.Sequential(nn.Flatten(), nn.Linear(12, 10), nn.GELU(), nn.LayerNorm(10), nn.Dropout(0.2), nn.Linear(10, 9),
                          nn.SiLU(), nn.Linear(9, 3)), (3, 4), 13),
    'mlp-opset17': (nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.LeakyReLU(0.1), nn.Linear(8, 3), nn.Softmax(-1)), (6,), 17),
    'cnn': (nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), Residual(4), nn.MaxPool2d(2),
                          nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.BatchNorm2d(4), nn.ReLU6(), nn.AdaptiveAvgPool2d(1),
                          nn.Flatten(), nn.Linear(4, 3)), IMAGE, 13),
    'cnn-opset9': (nn.Sequential(nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=1, dilation=(1, 2)), nn.Hardswish(),
                                 nn.AvgPool2d(2, padding=1), nn.ZeroPad2d((1, 0, 0, 1)), nn.Conv2d(4, 3, 1), nn.Flatten(),
                                 nn.Linear(60, 3)), IMAGE, 9),
    'group-norm': (nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), nn.GroupNorm(3, 6), nn.SiLU(), nn.Conv2d(6, 4, 3),
                                 nn.GroupNorm(1, 4, affine=False), nn.Tanh(), nn.Flatten(), nn.Linear(96, 3)), IMAGE, 13),
    'instance-norm': (nn.Sequential(nn.Conv2d(2, 4, 3), nn.InstanceNorm2d(4, affine=True), nn.ReLU(), nn.Flatten(), nn.Linear(96, 3)),
                      IMAGE, 13),
    'conv1d': (nn.Sequential(nn.Conv1d(3, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(16, 3)),
               (3, 8), 13),
    'gru': (LastState(), (7, 5), 13),
    'gru-bidirectional': (LastState(bidirectional=True), (7, 5), 11),
    'attention': (nn.Sequential(Attention(8, 2, False), nn.Flatten(), nn.Linear(40, 3)), (5, 8), 13),
    'text': (Text(), (6,), 14),
    'encoder': (Encoder(dropout=0.1), (5, 8), 13),
    'encoder-norm-first': (Encoder(norm_first=True, activation='gelu'), (5, 8), 14),
}


def main():
    for name, (model, shape, opset) in MODELS.items():
        torch.manual_seed(len(name))
        for module in model.modules():  # statistics and norms that change something
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.running_mean.normal_(0, 0.5)
                module.running_var.uniform_(0.5, 2)
            if getattr(module, 'weight', None) is not None and isinstance(module, (nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm2d)):
                module.weight.data.uniform_(0.5, 1.5)
                module.bias.data.normal_(0, 0.5)
        model.eval()
        x = torch.randint(0, 11, (3, *shape)) if name == 'text' else torch.randn(3, *shape)
        torch.onnx.export(model, x, f'{name}.onnx', opset_version=opset, input_names=['x'], output_names=['y'],
                          dynamic_axes={'x': {0: 'batch'}, 'y': {0: 'batch'}}, training=torch.onnx.TrainingMode.PRESERVE)
        y = model(x)
        digits = lambda tensor: [round(value, 6) for value in tensor.flatten().tolist()]
        with open(f'{name}.json', 'w') as file:
            json.dump({'shape': shape, 'x': digits(x), 'y': digits(y)}, file, separators=(',', ':'))
            file.write('\n')


main()
