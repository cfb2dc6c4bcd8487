#include "base/crypto.h"

#include <sodium.h>

#include <algorithm>

namespace linnet {
namespace {

static_assert(sizeof(crypto_generichash_state) == 384 && alignof(crypto_generichash_state) == 64,
              "Blake2bHasher holds libsodium's state in place");
static_assert(crypto_stream_chacha20_ietf_KEYBYTES == 32);
static_assert(crypto_sign_SEEDBYTES == 32 && crypto_sign_PUBLICKEYBYTES == 32 &&
              crypto_sign_BYTES == 64);

constexpr uint64_t kChaChaBlock = 64;
constexpr uint64_t kKeystreamBytes = uint64_t{1} << 38;

// libsodium chooses its implementations and opens the random source here, once.
void Init() {
  static const bool ready = sodium_init() >= 0;
  LINNET_CHECK(ready);
}

crypto_generichash_state* State(std::array<uint8_t, 384>& state) {
  return reinterpret_cast<crypto_generichash_state*>(state.data());
}

// The keystream from the start of `block` on.
void Keystream(const Seed& seed, const uint8_t nonce[12], uint64_t block, std::span<uint8_t> out) {
  std::fill(out.begin(), out.end(), uint8_t{0});
  LINNET_CHECK(crypto_stream_chacha20_ietf_xor_ic(out.data(), out.data(), out.size(), nonce,
                                                  static_cast<uint32_t>(block), seed.data()) == 0);
}

}  // namespace

Digest Blake2b(ByteSpan data) {
  Init();
  Digest digest;
  crypto_generichash(digest.data(), digest.size(), data.data(), data.size(), nullptr, 0);
  return digest;
}

Digest Sha256(ByteSpan data) {
  Init();
  Digest digest;
  crypto_hash_sha256(digest.data(), data.data(), data.size());
  return digest;
}

Blake2bHasher::Blake2bHasher() {
  Init();
  crypto_generichash_init(State(state_), nullptr, 0, sizeof(Digest));
}

void Blake2bHasher::Add(ByteSpan data) {
  crypto_generichash_update(State(state_), data.data(), data.size());
}

Digest Blake2bHasher::Finish() {
  Digest digest;
  crypto_generichash_final(State(state_), digest.data(), digest.size());
  return digest;
}

Seed DeriveSeed(const Seed& seed, std::string_view label, uint64_t index) {
  uint8_t number[8];
  StoreLE(number, index);
  Blake2bHasher hasher;
  hasher.Add(seed);
  hasher.Add(AsBytes(label));
  hasher.Add(number);
  return hasher.Finish();
}

Seed DeriveSeed(const Seed& seed, ByteSpan id) {
  Blake2bHasher hasher;
  hasher.Add(seed);
  hasher.Add(id);
  return hasher.Finish();
}

Seed SeedFromInt(uint64_t value) { return DeriveSeed(Seed{}, "integer seed", value); }

void ChaCha20Stream(const Seed& seed, uint64_t stream, uint64_t offset, std::span<uint8_t> out) {
  Init();
  if (out.empty()) return;
  LINNET_CHECK(offset <= kKeystreamBytes && out.size() <= kKeystreamBytes - offset);
  uint8_t nonce[12] = {};
  StoreLE(nonce, stream);
  uint64_t block = offset / kChaChaBlock;
  const size_t skip = offset % kChaChaBlock;
  if (skip != 0) {
    uint8_t first[kChaChaBlock];
    Keystream(seed, nonce, block, first);
    const size_t count = std::min<size_t>(kChaChaBlock - skip, out.size());
    std::memcpy(out.data(), first + skip, count);
    out = out.subspan(count);
    ++block;
    if (out.empty()) return;
  }
  Keystream(seed, nonce, block, out);
}

void SystemRandom(std::span<uint8_t> out) {
  Init();
  randombytes_buf(out.data(), out.size());
}

SigningKey SigningKey::FromSeed(const Seed& seed) {
  Init();
  SigningKey key;
  key.seed = seed;
  uint8_t secret[crypto_sign_SECRETKEYBYTES];
  crypto_sign_seed_keypair(key.public_key.data(), secret, seed.data());
  sodium_memzero(secret, sizeof(secret));
  return key;
}

SigningKey SigningKey::Generate() {
  Seed seed;
  SystemRandom(seed);
  return FromSeed(seed);
}

Signature SigningKey::Sign(ByteSpan message) const {
  Init();
  // libsodium's secret key is the seed followed by the public key.
  uint8_t secret[crypto_sign_SECRETKEYBYTES];
  std::memcpy(secret, seed.data(), seed.size());
  std::memcpy(secret + seed.size(), public_key.data(), public_key.size());
  Signature signature;
  crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(), secret);
  sodium_memzero(secret, sizeof(secret));
  return signature;
}

bool VerifySignature(const PublicKey& key, ByteSpan message, const Signature& signature) {
  Init();
  return crypto_sign_verify_detached(signature.data(), message.data(), message.size(),
                                     key.data()) == 0;
}

bool ConstantTimeEqual(ByteSpan a, ByteSpan b) {
  if (a.size() != b.size()) return false;
  return a.empty() || sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace linnet
