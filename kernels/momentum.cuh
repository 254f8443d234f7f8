// One parameter's step of gradient descent with momentum and weight decay (optimizers.py):
//
//   v <- momentum v - rate (g + l2 w)
//   w <- w + v, or with Nesterov's look-ahead  w + momentum v - rate (g + l2 w)

#include "activations.cuh"

namespace lettergpu {

template <typename T, typename C>
LETTERGPU_FN void momentum_step(T& w, T& v, C g, C rate, C momentum, C l2, bool nesterov) {
    const C step = -rate * fma_(l2, C(w), g), velocity = fma_(momentum, C(v), step);
    v = T(velocity);
    w = T(C(w) + (nesterov ? fma_(momentum, velocity, step) : velocity));
}

}  // namespace lettergpu
