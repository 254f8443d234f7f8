// Batch normalisation and the activation after it (layers.py), there and back, one pass each over a node's column:
//
//   forward   standard = (z - mean) / sqrt(variance + epsilon),  y = scale standard + bias,  g(y); and the running mean
//             and variance go `pace` of the way to the batch's, or all of it where there was no batch before
//   backward  d = gradient g'(y),  delta = (d - standard mean(d standard) - mean(d)) scale / sqrt(variance + epsilon)
//
// A warp takes a node, and in it each lane every 32nd row; warps of a block take nodes side by side, so that what one
// fetches of a row the others find in the cache. Sums are added in the same order every time. VALUE(z_) and SLOPE(z_),
// the activation's, are defined above this text when it is compiled, like T.

#include "warps.cuh"

namespace lettergpu {
LETTERGPU_FN float sqrt_(float x) { return sqrtf(x); }
LETTERGPU_FN double sqrt_(double x) { return sqrt(x); }
}  // namespace lettergpu

// Grid: enough warps for `columns`, the nodes of all members. z: (members, rows, nodes), and standard afterwards.
extern "C" __global__ void normalised(T* z, const T* scale, const T* bias, T* mean, T* variance, T* value, T* kept,
                                      T* factor, long long rows, long long nodes, long long columns, C epsilon,
                                      C pace) {
    const long long column = (long long)(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32;
    if (column >= columns) return;
    const int lane = threadIdx.x % 32;
    const long long first = column / nodes * (rows * nodes) + column % nodes;
    C sum = 0;
    for (long long row = lane; row < rows; row += 32) sum += C(z[first + row * nodes]);
    const C middle = lettergpu::warp_sum(sum) / C(rows);
    C squares = 0;
    for (long long row = lane; row < rows; row += 32) {
        const C off = C(z[first + row * nodes]) - middle;
        squares = lettergpu::fma_(off, off, squares);
    }
    const C spread = lettergpu::warp_sum(squares) / C(rows), per = C(1) / lettergpu::sqrt_(spread + epsilon);
    const C own_scale = C(scale[column]), own_bias = C(bias[column]);
    for (long long row = lane; row < rows; row += 32) {
        const long long i = first + row * nodes;
        const T standard = T((C(z[i]) - middle) * per), y = T(lettergpu::fma_(C(standard), own_scale, own_bias));
        const C z_ = C(y);
        z[i] = standard;
        kept[i] = y;
        value[i] = T(VALUE(z_));
    }
    if (lane == 0) {
        const C share = C(variance[column]) == C(0) ? C(1) : pace, before = C(mean[column]);
        mean[column] = T(lettergpu::fma_(share, middle - before, before));
        variance[column] = T(lettergpu::fma_(share, spread - C(variance[column]), C(variance[column])));
        factor[column] = T(C(scale[column]) * per);
    }
}

extern "C" __global__ void gradient_before_normalised(const T* gradient, const T* kept, const T* standard,
                                                      const T* factor, T* scale_gradient, T* bias_gradient, T* delta,
                                                      long long rows, long long nodes, long long columns, bool add) {
    const long long column = (long long)(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32;
    if (column >= columns) return;
    const int lane = threadIdx.x % 32;
    const long long first = column / nodes * (rows * nodes) + column % nodes;
    C scales = 0, biases = 0;
    for (long long row = lane; row < rows; row += 32) {
        const long long i = first + row * nodes;
        const C z_ = C(kept[i]), d = C(gradient[i]) * SLOPE(z_);
        scales = lettergpu::fma_(d, C(standard[i]), scales);
        biases += d;
    }
    scales = lettergpu::warp_sum(scales);
    biases = lettergpu::warp_sum(biases);
    const C own_factor = C(factor[column]);
    for (long long row = lane; row < rows; row += 32) {
        const long long i = first + row * nodes;
        const C z_ = C(kept[i]), d = C(gradient[i]) * SLOPE(z_);
        delta[i] = T((d - C(standard[i]) * (scales / C(rows)) - biases / C(rows)) * own_factor);
    }
    if (lane == 0) {
        scale_gradient[column] = T(add ? C(scale_gradient[column]) + scales : scales);
        bias_gradient[column] = T(add ? C(bias_gradient[column]) + biases : biases);
    }
}
