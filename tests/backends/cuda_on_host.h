// Just enough of CUDA for the kernels' text to be C++: blocks and threads become loops, a warp 32 threads in lock step.
#include <cassert>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#define __CUDACC_VER_MAJOR__ 13  // for CuPy to take half and bfloat16 from CUDA's headers, which know the host too
#define __device__
#define __host__
#define __global__
#define __forceinline__ inline
#define __noinline__

static int __popc(unsigned x) { return __builtin_popcount(x); }
static int __popcll(unsigned long long x) { return __builtin_popcountll(x); }

struct Dimensions { unsigned x = 1, y = 1, z = 1; };
static thread_local Dimensions blockIdx, threadIdx, blockDim, gridDim;

// A kernel whose threads know nothing of each other
template <typename Kernel> void in_blocks(unsigned blocks, unsigned threads, Kernel kernel) {
    gridDim.x = blocks;
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
        for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++) kernel();
}

#ifdef WARPS  // a kernel whose warps' lanes talk to each other
#include <barrier>
#include <thread>
#include <vector>

static std::barrier<> lanes(32);
static double said[32];
static thread_local int own_lane;

template <typename Kernel> void in_warps(unsigned blocks, unsigned threads, Kernel kernel) {
    std::vector<std::thread> warp;
    for (int lane = 0; lane < 32; lane++)
        warp.emplace_back([=] {
            own_lane = lane;
            gridDim.x = blocks;
            blockDim.x = threads;
            for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
                for (unsigned first = 0; first < threads; first += 32) {
                    threadIdx.x = first + lane;
                    kernel();
                }
        });
    for (auto& thread : warp) thread.join();
}

static double heard(double value, int from) {
    said[own_lane] = value;
    lanes.arrive_and_wait();
    const double result = said[from];
    lanes.arrive_and_wait();
    return result;
}
template <typename C> C __shfl_xor_sync(unsigned, C value, int distance) { return C(heard(value, own_lane ^ distance)); }
static bool __any_sync(unsigned, bool value) {
    bool any = false;
    for (int lane = 0; lane < 32; lane++) any |= heard(value, lane) != 0;
    return any;
}
#endif
