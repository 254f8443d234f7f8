// What is done with whole columns, a node's numbers in a batch (layers.py). Batch normalisation and the activation after
// it, there and back, and the sum that is the gradient of a bias:
//
//   forward   standard = (z - mean) / sqrt(variance + epsilon),  y = scale standard + bias,  g(y); and the running mean
//             and variance go `pace` of the way to the batch's, or all of it where there was no batch before
//   backward  d = gradient g'(y),  delta = (d - standard mean(d standard) - mean(d)) scale / sqrt(variance + epsilon)
//
// A block takes NODES nodes side by side, and of their rows 32 at a time: its threads share what memory hands out at
// once. Sums are added in the same order every time. Defined above this text when it is compiled, like T: NODES, a power
// of 2 of at most 32; VALUE(z_) and SLOPE(z_), the activation's.

#include "warps.cuh"

namespace lettergpu {

constexpr int THREADS = 32 * NODES;

LETTERGPU_FN float sqrt_(float x) { return sqrtf(x); }
LETTERGPU_FN double sqrt_(double x) { return sqrt(x); }

// The sum over all threads of a block that have the same node, in each of them
LETTERGPU_FN C node_sum(C x, C (*of_warps)[NODES]) {
    for (int distance = NODES; distance < 32; distance *= 2) x += __shfl_xor_sync(0xffffffffu, x, distance);
    const int node = threadIdx.x % NODES;
    if (threadIdx.x % 32 < NODES) of_warps[threadIdx.x / 32][node] = x;
    __syncthreads();
    C total = 0;
    for (int warp = 0; warp < THREADS / 32; warp++) total += of_warps[warp][node];
    return total;
}

}  // namespace lettergpu

// Grid: enough blocks for `columns`, the nodes of all members. z: (members, rows, nodes), and standard afterwards.
extern "C" __global__ void __launch_bounds__(lettergpu::THREADS)
normalised(T* z, const T* scale, const T* bias, T* mean, T* variance, T* value, T* slope, T* factor, long long rows,
           long long nodes, long long columns, C epsilon, C pace) {
    using namespace lettergpu;
    __shared__ C sums[2][THREADS / 32][NODES];
    const long long column = (long long)(blockIdx.x) * NODES + threadIdx.x % NODES;
    const bool there = column < columns;
    const long long first = column / nodes * (rows * nodes) + column % nodes;
    const long long from = there ? threadIdx.x / NODES : rows;  // without a node there is nothing to do but to wait
    C sum = 0;
#pragma unroll 8
    for (long long row = from; row < rows; row += 32) sum += C(z[first + row * nodes]);
    const C middle = node_sum(sum, sums[0]) / C(rows);
    C squares = 0;
#pragma unroll 8
    for (long long row = from; row < rows; row += 32) {
        const C off = C(z[first + row * nodes]) - middle;
        squares = fma_(off, off, squares);
    }
    const C spread = node_sum(squares, sums[1]) / C(rows), per = C(1) / sqrt_(spread + epsilon);
    if (!there) return;
    const C own_scale = C(scale[column]), own_bias = C(bias[column]);
#pragma unroll 4
    for (long long row = from; row < rows; row += 32) {
        const long long i = first + row * nodes;
        const T standard = T((C(z[i]) - middle) * per), y = T(fma_(C(standard), own_scale, own_bias));
        const C z_ = C(y);
        z[i] = standard;
        value[i] = T(VALUE(z_));
        slope[i] = T(SLOPE(z_));
    }
    if (threadIdx.x < NODES) {
        const C share = C(variance[column]) == C(0) ? C(1) : pace, before = C(mean[column]);
        mean[column] = T(fma_(share, middle - before, before));
        variance[column] = T(fma_(share, spread - C(variance[column]), C(variance[column])));
        factor[column] = T(C(scale[column]) * per);
    }
}

extern "C" __global__ void __launch_bounds__(lettergpu::THREADS)
gradient_before_normalised(const T* gradient, const T* slope, const T* standard, const T* factor, T* scale_gradient,
                           T* bias_gradient, T* delta, long long rows, long long nodes, long long columns, bool add) {
    using namespace lettergpu;
    __shared__ C sums[2][THREADS / 32][NODES];
    const long long column = (long long)(blockIdx.x) * NODES + threadIdx.x % NODES;
    const bool there = column < columns;
    const long long first = column / nodes * (rows * nodes) + column % nodes;
    const long long from = there ? threadIdx.x / NODES : rows;
    C scales = 0, biases = 0;
#pragma unroll 8
    for (long long row = from; row < rows; row += 32) {
        const long long i = first + row * nodes;
        const C d = C(gradient[i]) * C(slope[i]);
        scales = fma_(d, C(standard[i]), scales);
        biases += d;
    }
    scales = node_sum(scales, sums[0]);
    biases = node_sum(biases, sums[1]);
    if (!there) return;
    const C own_factor = C(factor[column]);
#pragma unroll 8
    for (long long row = from; row < rows; row += 32) {
        const long long i = first + row * nodes;
        const C d = C(gradient[i]) * C(slope[i]);
        delta[i] = T((d - C(standard[i]) * (scales / C(rows)) - biases / C(rows)) * own_factor);
    }
    if (threadIdx.x < NODES) {
        scale_gradient[column] = T(add ? C(scale_gradient[column]) + scales : scales);
        bias_gradient[column] = T(add ? C(bias_gradient[column]) + biases : biases);
    }
}

// values: (members, rows, nodes)
extern "C" __global__ void __launch_bounds__(lettergpu::THREADS)
column_sums(const T* values, T* sums, long long rows, long long nodes, long long columns, bool add) {
    using namespace lettergpu;
    __shared__ C of_warps[THREADS / 32][NODES];
    const long long column = (long long)(blockIdx.x) * NODES + threadIdx.x % NODES;
    const long long first = column / nodes * (rows * nodes) + column % nodes;
    C sum = 0;
#pragma unroll 8
    for (long long row = column < columns ? threadIdx.x / NODES : rows; row < rows; row += 32)
        sum += C(values[first + row * nodes]);
    sum = node_sum(sum, of_warps);
    if (threadIdx.x < NODES && column < columns) sums[column] = T(add ? C(sums[column]) + sum : sum);
}
