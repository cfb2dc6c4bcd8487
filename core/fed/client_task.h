// How a strategy wants participants to train (org.linnet.client/1): what stands in an invitation
// beside the federation's own settings, and what it means for one participant.
#ifndef LINNET_FED_CLIENT_TASK_H_
#define LINNET_FED_CLIENT_TASK_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "fed/update_layout.h"

namespace linnet {

enum class ClientAlgorithm : uint8_t {
  kSgd,       // y -= lr g
  kProx,      // y -= lr (g + mu (y - w))                  FedProx (Li 2020)
  kScaffold,  // y -= lr (g - c_k + c)                     SCAFFOLD (Karimireddy 2020), option II
  kDyn,       // y -= lr (g - h_k + alpha (y - w))         FedDyn (Acar 2021)
};
std::string_view ClientAlgorithmName(ClientAlgorithm algorithm);

struct ClientTask {
  ClientAlgorithm algorithm = ClientAlgorithm::kSgd;
  float mu = 0, alpha = 0;
  bool loss_before = false;  // the loss at w over all own examples, before training
  // scaffold: "c" both ways. A scalar "a" up: FedNova's a_k (Wang 2020).
  std::vector<LinkedValue> uplink, downlink;
  // The values of `downlink`, f32 little-endian, by digest like a model; 0 bytes: none.
  Digest values{};
  uint64_t value_bytes = 0;
  friend bool operator==(const ClientTask&, const ClientTask&) = default;
};

// TrainSettings::client and client_config.
std::string ClientTaskText(const ClientTask& task);
// kUnsupported: an algorithm, or a value of uplink or downlink, that is not offered here; kInvalid:
// anything else that is wrong. `config` may be empty.
Result<ClientTask> ParseClientTask(std::string_view client, std::string_view config);

// FedNova's a_k of `steps` local steps: for SGD the steps themselves, with momentum rho
// (steps - rho (1 - rho^steps) / (1 - rho)) / (1 - rho), with a proximal term
// (1 - (1 - lr mu)^steps) / (lr mu).
double NormalizedSteps(uint64_t steps, double momentum, double learning_rate, double mu);

}  // namespace linnet

#endif  // LINNET_FED_CLIENT_TASK_H_
