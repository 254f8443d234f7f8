// The output losses (losses.py), from the logits z of a row, with y = 1 at its label and 0 elsewhere:
//
//   softmax cross-entropy   loss  log(sum e^(z - max)) - (z_label - max)              gradient  e^(z - max) / sum - y
//   sigmoid cross-entropy   loss  sum of max(z, 0) - y z + log(1 + e^-|z|)            gradient  1 / (1 + e^-z) - y
//
// With smoothing, y is smoothing / classes everywhere and 1 - smoothing more at the label, and z_label above the sum of
// y z over the classes.
//
// A warp takes a row, and in it each lane every 32nd class: the logits are read side by side, a row of up to 32
// classes once from memory, and the sums over a row need no memory at all. They are added in the same order every time.
// The loss is multiplied by the weight of the label's class, the gradient by that over the rows of the whole batch.
// `right`: the label's logit is the first of the highest. A NaN is higher than everything.
//
// T, what the arrays hold, is defined above this text when it is compiled; C is what it is computed in.

#include "warps.cuh"

namespace lettergpu {

LETTERGPU_FN float log_(float x) { return logf(x); }
LETTERGPU_FN double log_(double x) { return log(x); }
LETTERGPU_FN float log1p_(float x) { return log1pf(x); }
LETTERGPU_FN double log1p_(double x) { return log1p(x); }

LETTERGPU_FN C warp_max(C x) {
    for (int distance = 16; distance; distance /= 2) x = at_least(x, __shfl_xor_sync(0xffffffffu, x, distance));
    return x;
}

LETTERGPU_FN C target(int c, int label, int classes, C smoothing) {
    return (c == label ? C(1) - smoothing : C(0)) + smoothing / C(classes);
}

LETTERGPU_FN bool comes_before(C z, int c, C own, int label) { return !(z <= own) || (z == own && c < label); }

}  // namespace lettergpu

// Grid: enough warps for the rows, in blocks of any multiple of 32 threads. All arrays are contiguous.
extern "C" __global__ void softmax_cross_entropy(const T* logits, const long long* labels, const T* weights,
                                                 T* losses, bool* right, T* gradient, long long rows, int classes,
                                                 long long batch, C smoothing) {
    const long long row = (long long)(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32;
    if (row >= rows) return;
    const int lane = threadIdx.x % 32, label = int(labels[row]);
    const T* z = logits + row * classes;
    const C own = C(z[label]), weight = C(weights[label]);
    C highest = own;
    bool before = false;
    for (int c = lane; c < classes; c += 32) {
        highest = lettergpu::at_least(C(z[c]), highest);
        before |= lettergpu::comes_before(C(z[c]), c, own, label);
    }
    highest = lettergpu::warp_max(highest);
    before = __any_sync(0xffffffffu, before);
    C total = 0, shifted = 0;
    for (int c = lane; c < classes; c += 32) {
        total += lettergpu::exp_(C(z[c]) - highest);
        shifted += C(z[c]) - highest;
    }
    total = lettergpu::warp_sum(total);
    C aimed_at = own - highest;
    if (smoothing > C(0))
        aimed_at = (C(1) - smoothing) * aimed_at + smoothing * (lettergpu::warp_sum(shifted) / C(classes));
    for (int c = lane; c < classes; c += 32) {
        const C predicted = lettergpu::exp_(C(z[c]) - highest) / total;
        gradient[row * classes + c] = T((predicted - lettergpu::target(c, label, classes, smoothing)) * (weight / C(batch)));
    }
    if (lane == 0) {
        losses[row] = T((lettergpu::log_(total) - aimed_at) * weight);
        right[row] = !before;
    }
}

extern "C" __global__ void sigmoid_binary_cross_entropy(const T* logits, const long long* labels, const T* weights,
                                                        T* losses, bool* right, T* gradient, long long rows,
                                                        int classes, long long batch, C smoothing) {
    const long long row = (long long)(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32;
    if (row >= rows) return;
    const int lane = threadIdx.x % 32, label = int(labels[row]);
    const T* z = logits + row * classes;
    const C own = C(z[label]), weight = C(weights[label]);
    C loss = 0;
    bool before = false;
    for (int c = lane; c < classes; c += 32) {
        const C x = C(z[c]), y = lettergpu::target(c, label, classes, smoothing);
        loss += (x > C(0) ? x : C(0)) - y * x + lettergpu::log1p_(lettergpu::exp_(-lettergpu::abs_(x)));
        before |= lettergpu::comes_before(x, c, own, label);
        gradient[row * classes + c] = T((lettergpu::sigmoid_value(x) - y) * (weight / C(batch)));
    }
    loss = lettergpu::warp_sum(loss);
    before = __any_sync(0xffffffffu, before);
    if (lane == 0) {
        losses[row] = T(loss * weight);
        right[row] = !before;
    }
}
