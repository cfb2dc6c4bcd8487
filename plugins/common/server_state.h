// The state of a server optimizer as blob 0: a few numbers and some vectors of the size of the
// model.
#ifndef LINNET_PLUGINS_COMMON_SERVER_STATE_H_
#define LINNET_PLUGINS_COMMON_SERVER_STATE_H_

#include <array>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "linnet/plugin.hpp"

namespace linnet {
namespace plugin {

// kVectors vectors of f64, all zeros at first. `magic` and `version` say whose state it is and how
// it is stored.
template <uint32_t kVectors>
class ServerState {
 public:
  ServerState(uint32_t magic, uint32_t version) {
    header_.magic = magic;
    header_.version = version;
  }

  void Resize(size_t elements) {
    header_.elements = elements;
    for (auto& vector : vectors_) vector.assign(elements, 0.0);
  }

  std::vector<double>& vector(uint32_t i) { return vectors_[i]; }
  // Two numbers that belong to the state; what they mean is the strategy's.
  double* numbers() { return header_.numbers; }
  uint64_t& rounds() { return header_.rounds; }

  void Save(std::vector<Segment>& segments) const {
    segments.push_back({&header_, sizeof(header_)});
    for (const auto& vector : vectors_)
      segments.push_back({vector.data(), vector.size() * sizeof(double)});
  }

  // LNT_OK, or what is wrong in `message`; then nothing has changed.
  lnt_status Load(const uint8_t* data, uint64_t size, std::string& message) {
    const uint64_t wanted = sizeof(Header) + kVectors * header_.elements * sizeof(double);
    Header header;
    if (size >= sizeof(Header)) {
      std::memcpy(&header, data, sizeof(Header));
      if (header.magic != header_.magic) {
        message = "the state is that of another strategy";
        return LNT_E_DATA;
      }
      if (header.version != header_.version) {
        message = "found a state of version " + std::to_string(header.version) + ", wanted " +
                  std::to_string(header_.version) +
                  ": what it keeps has changed its meaning, begin anew (--fresh)";
        return LNT_E_VERSION;
      }
    }
    if (size != wanted || header.elements != header_.elements) {
      message =
          "found a state of " + std::to_string(size) + " bytes, wanted " + std::to_string(wanted);
      return LNT_E_DATA;
    }
    for (uint64_t i = sizeof(Header); i < size; i += sizeof(double)) {
      double value;
      std::memcpy(&value, data + i, sizeof(double));
      if (!std::isfinite(value)) {
        message = "the state holds a number that is not finite";
        return LNT_E_DATA;
      }
    }
    if (!std::isfinite(header.numbers[0]) || !std::isfinite(header.numbers[1])) {
      message = "the state holds a number that is not finite";
      return LNT_E_DATA;
    }
    header_ = header;
    data += sizeof(Header);
    for (auto& vector : vectors_) {
      std::memcpy(vector.data(), data, vector.size() * sizeof(double));
      data += vector.size() * sizeof(double);
    }
    return LNT_OK;
  }

 private:
  struct Header {
    uint32_t magic = 0, version = 0;
    uint64_t elements = 0, rounds = 0;
    double numbers[2] = {0, 0};
  };
  Header header_;
  std::array<std::vector<double>, kVectors> vectors_;
};

}  // namespace plugin
}  // namespace linnet

#endif  // LINNET_PLUGINS_COMMON_SERVER_STATE_H_
