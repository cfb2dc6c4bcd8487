// Runs a fuzz target without libFuzzer: every file given (or found in a folder given), and seeded
// mutations of each of them. The same inputs on every run.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Input = std::vector<uint8_t>;

constexpr int kMutations = 3000;
// All mutated copies of one file together stay below this, so that a large seed does not take
// minutes.
constexpr size_t kMutatedBytes = size_t{64} << 20;
constexpr size_t kLongestInsert = 64;

Input ReadInput(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return Input(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

// An exact-size copy, so that a sanitizer sees a read beyond the end.
void RunOne(const Input& input) {
  const Input copy(input.begin(), input.end());
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
}

class Mutator {
 public:
  explicit Mutator(uint32_t seed) : random_(seed) {}

  // One to four of: flip a bit, set a byte to a value at an edge, cut the end, repeat, remove or
  // insert a piece, take over a piece of another seed.
  Input Mutate(Input input, const std::vector<Input>& seeds) {
    for (size_t left = 1 + Below(4); left > 0; --left) Step(input, seeds[Below(seeds.size())]);
    return input;
  }

 private:
  // mt19937's values are fixed by the standard, its distributions are not.
  size_t Below(size_t n) { return n == 0 ? 0 : random_() % n; }

  void Step(Input& input, const Input& other) {
    constexpr uint8_t kEdges[] = {0, 1, 0x7f, 0x80, 0xff, '"', ',', '\n'};
    const size_t at = Below(input.size());
    const size_t count = std::min(1 + Below(kLongestInsert), input.size() - at);
    const auto place = input.begin() + static_cast<ptrdiff_t>(at);
    switch (Below(7)) {
      case 0:
        if (!input.empty()) input[at] ^= static_cast<uint8_t>(1u << Below(8));
        break;
      case 1:
        if (!input.empty()) input[at] = kEdges[Below(std::size(kEdges))];
        break;
      case 2:
        input.resize(at);
        break;
      case 3: {
        const Input piece(place, place + static_cast<ptrdiff_t>(count));
        input.insert(place, piece.begin(), piece.end());
        break;
      }
      case 4:
        input.erase(place, place + static_cast<ptrdiff_t>(count));
        break;
      case 5: {
        Input piece(1 + Below(8));
        for (uint8_t& byte : piece) byte = static_cast<uint8_t>(random_());
        input.insert(place, piece.begin(), piece.end());
        break;
      }
      default: {
        const size_t from = Below(other.size());
        const size_t size = std::min(1 + Below(kLongestInsert), other.size() - from);
        input.insert(place, other.begin() + static_cast<ptrdiff_t>(from),
                     other.begin() + static_cast<ptrdiff_t>(from + size));
      }
    }
  }

  std::mt19937 random_;
};

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> paths;
  for (int i = 1; i < argc; ++i) {
    if (std::filesystem::is_directory(argv[i])) {
      for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
        if (entry.is_regular_file()) paths.push_back(entry.path());
      }
    } else if (std::filesystem::is_regular_file(argv[i])) {
      paths.push_back(argv[i]);
    }
  }
  if (paths.empty()) {
    std::fprintf(stderr, "no input file found; usage: %s FILE-OR-FOLDER...\n",
                 argc > 0 ? argv[0] : "fuzzer");
    return 1;
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Input> seeds;
  for (const auto& path : paths) seeds.push_back(ReadInput(path));
  size_t mutations = 0;
  for (size_t i = 0; i < seeds.size(); ++i) {
    RunOne(seeds[i]);
    Mutator mutator(static_cast<uint32_t>(i + 1));
    size_t bytes = 0;
    for (int m = 0; m < kMutations && bytes < kMutatedBytes; ++m, ++mutations) {
      const Input mutated = mutator.Mutate(seeds[i], seeds);
      bytes += mutated.size();
      RunOne(mutated);
    }
  }
  std::printf("%zu files, %zu mutations\n", seeds.size(), mutations);
  return 0;
}
