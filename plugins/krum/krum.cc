// Krum (Blanchard 2017): the one update with the lowest score.
#include "common/krum.h"

namespace {

class Krum final : public linnet::plugin::KrumFamily {
 public:
  static const char* Describe() {
    return R"({"id":"krum","version":"1.0.0","licence":"Apache-2.0",)"
           R"("description":"The one update that lies nearest to its neighbours.",)"
           R"("client":"sgd","config":{"type":"object","properties":{)"
           R"("hostile":{"type":"integer","minimum":0,"maximum":100000,"default":0,)"
           R"("description":"f: a round with fewer than 2f + 3 updates fails."},)"
           R"("allowFew":{"type":"boolean","default":false,)"
           R"("description":"Goes on with fewer, without the proof."}}}})";
  }
  explicit Krum(const linnet::plugin::Config& config) : KrumFamily(config) {}

 private:
  void Choose(uint32_t n) override { chosen().assign(1, Ranked(All(n))[0]); }
};

}  // namespace

LINNET_PLUGIN(Krum)
