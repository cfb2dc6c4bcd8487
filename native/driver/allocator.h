// How this process keeps memory between rounds.
#ifndef LINNET_NATIVE_DRIVER_ALLOCATOR_H_
#define LINNET_NATIVE_DRIVER_ALLOCATOR_H_

namespace linnet {

// Buffers of a model's size come and go each round. By default glibc takes each from the kernel and
// gives it back: hundreds of page faults a time, a fifth of a round's own cost (round_bench).
// Called once, first in main.
void KeepLargeBlocks();

}  // namespace linnet

#endif  // LINNET_NATIVE_DRIVER_ALLOCATOR_H_
