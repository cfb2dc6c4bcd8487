#!/usr/bin/env python3
"""A participant in Python: liblinnet.so speaks the protocol, numpy trains.

    participant.py ws://127.0.0.1:8787 --library build/native/liblinnet.so

Needs nothing beside numpy. The class Session is the whole binding: a selector, a socket and a few timers carry out what
the library asks for; train() and evaluate() are the program's own.
"""
import argparse
import base64
import ctypes
import hashlib
import json
import os
import selectors
import socket
import struct
import sys
import time
import urllib.parse

import numpy as np

CONNECT, SEND, CLOSE, SET_TIMER, CANCEL_TIMER, PERSIST, NOTICE = range(1, 8)


class Action(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int32), ("reserved", ctypes.c_uint32), ("id", ctypes.c_uint64),
                ("delay_ms", ctypes.c_uint64), ("data", ctypes.POINTER(ctypes.c_uint8)), ("size", ctypes.c_size_t)]


class TrainResult(ctypes.Structure):
    _fields_ = [("examples", ctypes.c_uint64), ("steps", ctypes.c_uint64), ("loss_before", ctypes.c_double),
                ("loss_after", ctypes.c_double)]


class EvaluateResult(ctypes.Structure):
    _fields_ = [("examples", ctypes.c_uint64), ("correct", ctypes.c_uint64), ("loss_sum", ctypes.c_double)]


FLOATS = ctypes.POINTER(ctypes.c_float)
TRAIN = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_char_p, FLOATS, ctypes.c_size_t,
                         ctypes.POINTER(TrainResult))
EVALUATE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, FLOATS, ctypes.c_size_t, ctypes.POINTER(EvaluateResult))


def load_library(path):
    library = ctypes.CDLL(path)
    handle, text, u64 = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint64
    for name, result, arguments in [
            ("last_error", text, []), ("version", text, []),
            ("create_session", handle, [text, text, ctypes.c_size_t]), ("destroy_session", None, [handle]),
            ("set_callbacks", ctypes.c_int32, [handle, TRAIN, EVALUATE, handle, u64]),
            ("start", ctypes.c_int32, [handle, u64]), ("on_connected", ctypes.c_int32, [handle, u64]),
            ("on_disconnected", ctypes.c_int32, [handle, u64]),
            ("on_frame", ctypes.c_int32, [handle, text, ctypes.c_size_t, u64]),
            ("on_timer", ctypes.c_int32, [handle, u64, u64]),
            ("on_stored", ctypes.c_int32, [handle, u64, ctypes.c_int32, u64]),
            ("run", ctypes.c_int32, [handle, ctypes.c_uint32, u64]), ("leave", ctypes.c_int32, [handle, text]),
            ("next_action", ctypes.c_int32, [handle, ctypes.POINTER(Action)]),
            ("session_model", handle, [handle]), ("destroy_model", None, [handle]),
            ("describe_model", text, [handle]), ("describe_session", text, [handle]),
            ("draw_strokes", ctypes.c_int32, [u64, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32, FLOATS,
                                              ctypes.POINTER(ctypes.c_int32)])]:
        function = getattr(library, "linnet_" + name)
        function.restype, function.argtypes = result, arguments
    return library


class WebSocket:
    """RFC 6455 as a client, binary messages, no extensions."""

    def __init__(self, address):
        url = urllib.parse.urlparse(address)
        self.socket = socket.create_connection((url.hostname, url.port or 80), timeout=10)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET {url.path or '/'} HTTP/1.1\r\nHost: {url.netloc}\r\nUpgrade: websocket\r\n"
                             f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                             "Sec-WebSocket-Protocol: linnet.v1\r\n\r\n").encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self._fill()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        if not head.startswith(b"HTTP/1.1 101") or accept not in head:
            raise ConnectionError("the server refused: " + head.split(b"\r\n", 1)[0].decode(errors="replace"))
        self.message = b""

    def _fill(self):
        received = self.socket.recv(1 << 18)
        if not received:
            raise ConnectionError("the server closed the connection")
        self.buffer += received

    def send(self, payload, opcode=2):
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else (
            struct.pack("!BH", 0x80 | 126, size) if size < 65536 else struct.pack("!BQ", 0x80 | 127, size))
        mask = os.urandom(4)
        masked = np.frombuffer(payload, np.uint8) ^ np.resize(np.frombuffer(mask, np.uint8), size)
        self.socket.sendall(bytes([0x80 | opcode]) + length + mask + masked.tobytes())

    def receive(self):
        """After the socket became readable: the messages that are complete."""
        self._fill()
        messages = []
        while len(self.buffer) >= 2:
            final, opcode, size, at = self.buffer[0] & 0x80, self.buffer[0] & 15, self.buffer[1] & 127, 2
            if size >= 126:
                wide = 2 if size == 126 else 8
                if len(self.buffer) < 2 + wide:
                    break
                size, at = int.from_bytes(self.buffer[2:2 + wide], "big"), 2 + wide
            if len(self.buffer) < at + size:
                break
            payload, self.buffer = self.buffer[at:at + size], self.buffer[at + size:]
            if opcode == 8:
                raise ConnectionError("the server closed: " + payload[2:].decode(errors="replace"))
            if opcode == 9:
                self.send(payload, opcode=10)
            elif opcode in (0, 2):
                self.message += payload
                if final:
                    messages.append(self.message)
                    self.message = b""
        return messages

    def close(self):
        self.socket.close()


class Session:
    def __init__(self, library, address, options, state_file, train, evaluate, examples):
        self.library, self.address, self.state_file = library, address, state_file
        state = open(state_file, "rb").read() if state_file and os.path.exists(state_file) else None
        self.handle = library.linnet_create_session(json.dumps(options).encode(), state, len(state or b""))
        if not self.handle:
            raise RuntimeError(library.linnet_last_error().decode())
        # The callbacks must live as long as the session.
        self.train, self.evaluate = TRAIN(self._guard(train)), EVALUATE(self._guard(evaluate))
        self.check(library.linnet_set_callbacks(self.handle, self.train, self.evaluate, None, examples))
        self.web_socket, self.timers, self.notices = None, {}, []

    @staticmethod
    def _guard(function):
        def call(_, *arguments):
            try:
                return function(*arguments)
            except Exception as error:  # must not pass through C
                print(f"{function.__name__}: {error}", file=sys.stderr)
                return -11
        return call

    def check(self, status):
        if status < 0:
            raise RuntimeError(self.library.linnet_last_error().decode())
        return status

    @staticmethod
    def now():
        return time.monotonic_ns() // 1_000_000

    def layers(self):
        model = self.library.linnet_session_model(self.handle)
        layers = json.loads(self.library.linnet_describe_model(model))["layers"]
        self.library.linnet_destroy_model(model)
        return layers

    def disconnect(self):
        if self.web_socket:
            self.web_socket.close()
        self.web_socket = None
        self.check(self.library.linnet_on_disconnected(self.handle, self.now()))

    def act(self):
        action = Action()
        while True:
            self.check(self.library.linnet_next_action(self.handle, action))
            data = ctypes.string_at(action.data, action.size) if action.size else b""
            if action.kind == 0:
                return
            if action.kind == CONNECT:
                try:
                    self.web_socket = WebSocket(self.address)
                    self.check(self.library.linnet_on_connected(self.handle, self.now()))
                except OSError:
                    self.disconnect()
            elif action.kind == SEND and self.web_socket:
                try:
                    self.web_socket.send(data)
                except OSError:
                    self.disconnect()
            elif action.kind == CLOSE:
                self.disconnect()
            elif action.kind == SET_TIMER:
                self.timers[action.id] = self.now() + action.delay_ms
            elif action.kind == CANCEL_TIMER:
                self.timers.pop(action.id, None)
            elif action.kind == PERSIST:
                self.check(self.library.linnet_on_stored(self.handle, action.id, self.store(data), self.now()))
            elif action.kind == NOTICE:
                self.notices.append(json.loads(data))

    def store(self, data):
        if not self.state_file:
            return 1
        try:
            with open(self.state_file + ".new", "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(self.state_file + ".new", self.state_file)
            return 1
        except OSError:
            return 0

    def run(self, on_notice):
        """Until on_notice answers true."""
        self.check(self.library.linnet_start(self.handle, self.now()))
        while True:
            self.act()
            while self.notices:
                if on_notice(self.notices.pop(0)):
                    return
            if self.library.linnet_run(self.handle, 64, self.now()) > 0:
                continue
            self.act()
            if self.notices:
                continue
            wait = min(self.timers.values(), default=self.now() + 1000) - self.now()
            with selectors.DefaultSelector() as selector:
                if self.web_socket:
                    selector.register(self.web_socket.socket, selectors.EVENT_READ)
                ready = selector.select(max(wait, 0) / 1000)
            if ready:
                try:
                    for message in self.web_socket.receive():
                        self.check(self.library.linnet_on_frame(self.handle, message, len(message), self.now()))
                except OSError:
                    self.disconnect()
            for timer in [timer for timer, due in self.timers.items() if due <= self.now()]:
                del self.timers[timer]
                self.check(self.library.linnet_on_timer(self.handle, timer, self.now()))

    def leave(self):
        self.library.linnet_leave(self.handle, b"done")
        self.act()
        self.library.linnet_destroy_session(self.handle)


class Network:
    """Dense layers with ReLU between them, in numpy, on the flat parameters of the federation."""

    def __init__(self, layers, flat):
        self.weights = []
        for weight, bias in zip(layers[0::2], layers[1::2]):
            w = flat[weight["offset"]:weight["offset"] + weight["count"]].reshape(weight["shape"])
            self.weights.append((w, flat[bias["offset"]:bias["offset"] + bias["count"]]))  # views: training is in place

    def forward(self, x):
        values = [x]
        for i, (w, b) in enumerate(self.weights):
            z = values[-1] @ w + b
            values.append(np.maximum(z, 0) if i + 1 < len(self.weights) else z)
        return values

    @staticmethod
    def loss(logits, y):
        shifted = logits - logits.max(1, keepdims=True)
        exponents = np.exp(shifted)
        total = exponents.sum(1, keepdims=True)
        return float((np.log(total[:, 0]) - shifted[np.arange(len(y)), y]).sum()), exponents / total

    def step(self, x, y, rate):
        values = self.forward(x)
        loss, gradient = self.loss(values[-1], y)
        gradient[np.arange(len(y)), y] -= 1
        gradient /= len(y)
        for i in reversed(range(len(self.weights))):
            w, b = self.weights[i]
            below = gradient @ w.T * (values[i] > 0) if i else None
            w -= rate * (values[i].T @ gradient)
            b -= rate * gradient.sum(0)
            gradient = below
        return loss


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="ws://HOST:PORT")
    parser.add_argument("--library", required=True, help="liblinnet.so")
    parser.add_argument("--writer", type=int, default=900, help="whose simulated digits to train on")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--name", default="python")
    parser.add_argument("--state", help="file that keeps the device key and counters")
    arguments = parser.parse_args()
    library = load_library(arguments.library)

    x = np.zeros((arguments.images, 784), np.float32)
    y = np.zeros(arguments.images, np.int32)
    library.linnet_draw_strokes(1, arguments.writer, 0, arguments.images, x.ctypes.data_as(FLOATS),
                                y.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)))
    held = arguments.images // 10
    random = np.random.default_rng(arguments.writer)

    def train(settings_json, parameters, count, result):
        settings = json.loads(settings_json)
        network = Network(session.layers(), np.ctypeslib.as_array(parameters, (count,)))
        batch, sums = settings["batchSize"], []
        for _ in range(settings["epochs"]):
            order = random.permutation(np.arange(held, len(x)))
            sums.append(sum(network.step(x[rows], y[rows], settings["learningRate"])
                            for rows in np.array_split(order, max(1, len(order) // batch))))
            result[0].steps += max(1, len(order) // batch)
        result[0].examples = len(x) - held
        result[0].loss_before, result[0].loss_after = sums[0] / (len(x) - held), sums[-1] / (len(x) - held)
        return 0

    def evaluate(parameters, count, result):
        logits = Network(session.layers(), np.ctypeslib.as_array(parameters, (count,))).forward(x[:held])[-1]
        result[0].examples, result[0].correct = held, int((logits.argmax(1) == y[:held]).sum())
        result[0].loss_sum = Network.loss(logits, y[:held])[0]
        return 0

    def on_notice(notice):
        print(f"{notice['kind']}: {notice['text']}", flush=True)
        if notice["kind"] == "error" and notice.get("code") in ("permission", "version", "invalid", "not-found"):
            return True
        return notice["kind"] == "finished"

    session = Session(library, arguments.address, {"name": arguments.name, "runtime": "python"}, arguments.state,
                      train, evaluate, len(x) - held)
    session.run(on_notice)
    counted = json.loads(library.linnet_describe_session(session.handle))["roundsCounted"]
    session.leave()
    print(f"{counted} rounds counted")
    return 0 if counted > 0 else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
