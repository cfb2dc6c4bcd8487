// Digests, seeded streams, system randomness and signatures: the home of libsodium.
#ifndef LINNET_BASE_CRYPTO_H_
#define LINNET_BASE_CRYPTO_H_

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/bytes.h"

namespace linnet {

// BLAKE2b with a 32-byte digest and no key (RFC 7693): names models and releases.
Digest Blake2b(ByteSpan data);
// SHA-256 (FIPS 180-4): names plugin files.
Digest Sha256(ByteSpan data);

// The same as Blake2b over the concatenation of what was added.
class Blake2bHasher {
 public:
  Blake2bHasher();
  void Add(ByteSpan data);
  Digest Finish();

 private:
  alignas(64) std::array<uint8_t, 384> state_;
};

// A 256-bit seed: the only source of randomness of everything that must be repeatable.
using Seed = std::array<uint8_t, 32>;
// BLAKE2b(seed, label, index): an independent seed for a part.
Seed DeriveSeed(const Seed& seed, std::string_view label, uint64_t index = 0);
// BLAKE2b(seed, id).
Seed DeriveSeed(const Seed& seed, ByteSpan id);
// The seed of a small integer, as users give it (--seed 1).
Seed SeedFromInt(uint64_t value);

// The ChaCha20-IETF keystream (RFC 8439), key = seed, nonce = stream (12 bytes: u64 little-endian
// and four zeros), bytes [offset, offset + out.size()). offset + size <= 2^38.
void ChaCha20Stream(const Seed& seed, uint64_t stream, uint64_t offset, std::span<uint8_t> out);

// Randomness of the system, for keys, secrets and noise.
void SystemRandom(std::span<uint8_t> out);

// Ed25519 (RFC 8032). The device key: made on first use, kept by the driver, signs a challenge.
using PublicKey = std::array<uint8_t, 32>;
using Signature = std::array<uint8_t, 64>;
struct SigningKey {
  Seed seed{};  // secret
  PublicKey public_key{};
  static SigningKey FromSeed(const Seed& seed);
  static SigningKey Generate();
  Signature Sign(ByteSpan message) const;
};
bool VerifySignature(const PublicKey& key, ByteSpan message, const Signature& signature);

// Time independent of the contents; false for different lengths.
bool ConstantTimeEqual(ByteSpan a, ByteSpan b);

}  // namespace linnet

#endif  // LINNET_BASE_CRYPTO_H_
