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
static Dimensions blockIdx, threadIdx, blockDim, gridDim;

// A kernel whose threads know nothing of each other
template <typename Kernel> void in_blocks(unsigned blocks, unsigned threads, Kernel kernel) {
    gridDim.x = blocks;
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
        for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++) kernel();
}

#ifdef TOGETHER  // a kernel whose threads talk to each other: each runs until it waits, then another one's turn comes
#include <setjmp.h>
#include <ucontext.h>
#include <functional>
#include <memory>
#include <vector>
#define __shared__ static
#define __launch_bounds__(...)

enum State { RUNS, WAITS_FOR_WARP, WAITS_FOR_BLOCK, DONE };
struct Thread {
    ucontext_t begin;
    jmp_buf back;  // in a tenth of the time of swapcontext, which asks the system for signals
    std::unique_ptr<char[]> stack{new char[1 << 17]};
    State state = RUNS;
    bool begun = false;
    double said = 0;
};
static jmp_buf scheduler;
static std::vector<Thread>* block_of_threads;
static std::function<void()>* work_of_each;

static Thread& own() { return (*block_of_threads)[threadIdx.x]; }
static void wait(State reason) {
    const unsigned self = threadIdx.x;
    own().state = reason;
    if (!_setjmp(own().back)) _longjmp(scheduler, 1);
    threadIdx.x = self;
}
static void run_one() {
    (*work_of_each)();
    own().state = DONE;
    _longjmp(scheduler, 1);
}
static void go_on(Thread& thread) {
    if (_setjmp(scheduler)) return;
    if (thread.begun) _longjmp(thread.back, 1);
    thread.begun = true;
    setcontext(&thread.begin);
}
static bool all_wait(unsigned from, unsigned to, State reason) {
    for (unsigned i = from; i < to; i++)
        if ((*block_of_threads)[i].state != reason && (*block_of_threads)[i].state != DONE) return false;
    return true;
}

static void run_block(unsigned threads) {
    std::vector<Thread> all(threads);
    block_of_threads = &all;
    for (auto& thread : all) {
        getcontext(&thread.begin);
        thread.begin.uc_stack.ss_sp = thread.stack.get();
        thread.begin.uc_stack.ss_size = 1 << 17;
        makecontext(&thread.begin, run_one, 0);
    }
    while (!all_wait(0, threads, DONE)) {
        for (unsigned i = 0; i < threads; i++)
            if (all[i].state == RUNS) {
                threadIdx.x = i;
                go_on(all[i]);
            }
        for (unsigned from = 0; from < threads; from += 32)
            if (all_wait(from, from + 32, WAITS_FOR_WARP))
                for (unsigned i = from; i < from + 32; i++)
                    if (all[i].state != DONE) all[i].state = RUNS;
        if (all_wait(0, threads, WAITS_FOR_BLOCK))
            for (auto& thread : all)
                if (thread.state != DONE) thread.state = RUNS;
    }
}

template <typename Kernel> void in_turns(unsigned blocks, unsigned blocks_y, unsigned threads, Kernel kernel) {
    std::function<void()> work = kernel;
    work_of_each = &work;
    gridDim.x = blocks;
    gridDim.y = blocks_y;
    blockDim.x = threads;
    for (blockIdx.y = 0; blockIdx.y < blocks_y; blockIdx.y++)
        for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++) run_block(threads);
    blockIdx.y = 0;
}

static void __syncthreads() { wait(WAITS_FOR_BLOCK); }
static void __threadfence() {}
static unsigned atomicAdd(unsigned* to, unsigned value) {
    const unsigned before = *to;
    *to += value;
    return before;
}
static double heard(double value, int lane) {
    own().said = value;
    wait(WAITS_FOR_WARP);
    const double result = (*block_of_threads)[threadIdx.x / 32 * 32 + lane].said;
    wait(WAITS_FOR_WARP);
    return result;
}
template <typename C> C __shfl_sync(unsigned, C value, int lane) { return C(heard(value, lane)); }
template <typename C> C __shfl_xor_sync(unsigned, C value, int distance) { return C(heard(value, threadIdx.x % 32 ^ distance)); }
static bool __any_sync(unsigned, bool value) {
    bool any = false;
    for (int lane = 0; lane < 32; lane++) any |= heard(value, lane) != 0;
    return any;
}
#endif
