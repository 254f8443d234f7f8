// What the lanes of a warp do together. T, what the arrays hold, is defined above this text when it is compiled; C is
// what it is computed in.

#include "activations.cuh"

typedef lettergpu::Compute<T>::type C;

namespace lettergpu {

LETTERGPU_FN C warp_sum(C x) {  // in the same order every time, and in every lane
    for (int distance = 16; distance; distance /= 2) x += __shfl_xor_sync(0xffffffffu, x, distance);
    return x;
}

}  // namespace lettergpu
