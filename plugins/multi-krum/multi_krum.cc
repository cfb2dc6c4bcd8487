// Multi-Krum (Blanchard 2017): the mean of the `keep` updates with the lowest scores.
#include "common/krum.h"

namespace {

class MultiKrum final : public linnet::plugin::KrumFamily {
 public:
  static const char* Describe() {
    return R"({"id":"multi-krum","version":"1.0.0","licence":"Apache-2.0",)"
           R"("description":"The mean of the updates that lie nearest to their neighbours.",)"
           R"("client":"sgd","config":{"type":"object","properties":{)"
           R"("hostile":{"type":"integer","minimum":0,"maximum":100000,"default":0,)"
           R"("description":"f: a round with fewer than 2f + 3 updates fails."},)"
           R"("keep":{"type":"integer","minimum":0,"maximum":100000,"default":0,)"
           R"("description":"At most n - f; 0: n - f."},)"
           R"("allowFew":{"type":"boolean","default":false,)"
           R"("description":"Goes on with fewer, without the proof."}}}})";
  }
  explicit MultiKrum(const linnet::plugin::Config& config)
      : KrumFamily(config), keep_(static_cast<uint32_t>(config.Number("keep", 0))) {}

 private:
  lnt_status Start(uint32_t n) override {
    const lnt_status status = KrumFamily::Start(n);
    if (status != LNT_OK || keep_ <= n - hostile()) return status;
    return Fail(LNT_E_TOO_FEW, "found " + std::to_string(n) + " updates, wanted at least " +
                                   std::to_string(uint64_t{keep_} + hostile()) + " to keep " +
                                   std::to_string(keep_) +
                                   " with f = " + std::to_string(hostile()));
  }
  void Choose(uint32_t n) override {
    chosen() = Ranked(All(n));
    chosen().resize(keep_ > 0 ? keep_ : n - hostile());
  }

  uint32_t keep_;
};

}  // namespace

LINNET_PLUGIN(MultiKrum)
