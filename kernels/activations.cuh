// The activations and their derivatives, value and slope of the pre-activation z, in float or double.
// float16 and bfloat16 are computed in float: T(mish_value(typename Compute<T>::type(z))).
//
//   ReLU        z, or 0 for z < 0                 1, or 0 for z < 0
//   sigmoid     s(z) = 1 / (1 + e^-z)             s (1 - s)
//   tanh        tanh(z)                           1 - tanh(z)^2
//   leaky ReLU  z, or a z for z < 0               1, or a for z < 0
//   Swish       z s(b z)                          s + b z s (1 - s),  s = s(b z)
//   Mish        z tanh(ln(1 + e^z))               t + z s(z) (1 - t^2),  t = tanh(ln(1 + e^z))
//   TanhExp     z tanh(e^z)                       t + z e^z (1 - t^2),  t = tanh(e^z)
//
// One source for two compilers: device code under NVRTC or nvcc, plain C++ elsewhere. In float both give the same bits,
// but where -ftz makes a subnormal number 0, and are checked on every float (bench/kernels/ulp.py). How that comes about:
//   - e^x and tanh are written out: CUDA's expf and tanhf rest on instructions that may be 2 ulp off, each GPU's in its
//     own way, the host's round differently again. All that is here rounds as IEEE 754 says;
//   - products that are added to something are an fma_ or a `product`: compilers for GPUs fuse others as they like.
// And the formulas are not the textbook's, for these reasons:
//   - e^x is only taken of numbers that cannot overflow, and comparisons are such that a NaN comes through;
//   - with n = e^z (e^z + 2), tanh(ln(1 + e^z)) = n / (n + 2) needs neither log nor tanh, and cancels nowhere;
//   - far to the left Swish, Mish and TanhExp are all z e^z, and that is a normal float for some z whose e^z is
//     not (and which CuPy's -ftz=true would take for 0): there is 2^32 e^z, and 2^-32 is multiplied by last.

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define LETTERGPU_FN __device__ __forceinline__
#else
#include <cmath>
#include <cstring>
#define LETTERGPU_FN inline
#endif

namespace lettergpu {

LETTERGPU_FN float exp_(float x) { return expf(x); }
LETTERGPU_FN double exp_(double x) { return exp(x); }
LETTERGPU_FN float fma_(float a, float b, float c) { return fmaf(a, b, c); }
LETTERGPU_FN double fma_(double a, double b, double c) { return fma(a, b, c); }

template <typename T> struct Compute { using type = float; };
template <> struct Compute<double> { using type = double; };

template <typename T> LETTERGPU_FN T at_most(T z, T highest) { return z > highest ? highest : z; }
template <typename T> LETTERGPU_FN T at_least(T z, T lowest) { return z < lowest ? lowest : z; }
template <typename T> LETTERGPU_FN T abs_(T z) { return z < T(0) ? -z : z; }

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
LETTERGPU_FN float product(float a, float b) { return __fmul_rn(a, b); }
LETTERGPU_FN double product(double a, double b) { return __dmul_rn(a, b); }
LETTERGPU_FN unsigned bits_of(float x) { return __float_as_uint(x); }
LETTERGPU_FN float float_of(unsigned bits) { return __uint_as_float(bits); }
#else
template <typename T> LETTERGPU_FN T product(T a, T b) { return a * b; }
LETTERGPU_FN unsigned bits_of(float x) {
    unsigned bits;
    std::memcpy(&bits, &x, sizeof(bits));
    return bits;
}
LETTERGPU_FN float float_of(unsigned bits) {
    float x;
    std::memcpy(&x, &bits, sizeof(x));
    return x;
}
#endif

constexpr float UP = 4294967296.0f, DOWN = 1 / UP;  // 2^32

// 2^32 e^x for x up to 60; the float's series is within 4e-9 of e^r (minimax)
LETTERGPU_FN float exp_up(float x) {
    x = at_least(x, -110.0f);  // where it is 0
    // x = n ln 2 + r: adding 1.5 * 2^23 rounds to the integer n, and leaves it in the last bits
    const float shifted = fma_(x, 1.44269502f, 12582912.0f), n = shifted - 12582912.0f;
    const float r = fma_(n, -1.42860677e-6f, fma_(n, -0.693145752f, x));
    float series = fma_(r, 0.00138214673f, 0.00836866256f);
    series = fma_(r, series, 0.0416682549f);
    series = fma_(r, series, 0.166665211f);
    series = fma_(r, series, 0.49999994f);
    series = fma_(r, fma_(r, series, 1.0f), 1.0f);
    return product(series, float_of((bits_of(shifted) + 127 + 32) << 23));
}
LETTERGPU_FN double exp_up(double x) { return exp(x) * double(UP); }

template <typename T> struct Sum {
    T rounded, lost;
};
// a + b, and what it lost to rounding
template <typename T> LETTERGPU_FN Sum<T> sum(T a, T b) {
    const T rounded = a + b;
    return {rounded, b - (rounded - a)};
}
template <typename T> LETTERGPU_FN Sum<T> square(Sum<T> d) {
    const T rounded = d.rounded * d.rounded;
    return {rounded, fma_(T(2) * d.rounded, d.lost, fma_(d.rounded, d.rounded, -rounded))};
}
// a / d, and factor a / d, of which only the last rounding counts
template <typename T> LETTERGPU_FN T ratio(T a, Sum<T> d) {
    const T c = T(1) / d.rounded, r = a * c;
    return fma_(fma_(-r, d.lost, fma_(-r, d.rounded, a)), c, r);
}
template <typename T> LETTERGPU_FN T times_ratio(T factor, T a, Sum<T> d) {
    const T c = T(1) / d.rounded, r = a * c;
    return fma_(factor, r, factor * (fma_(-r, d.lost, fma_(-r, d.rounded, a)) * c));
}

// tanh(u) / u - 1 for u below 0.55, of s = u^2, within 2e-9 (minimax)
LETTERGPU_FN float tanh_excess(float s) {
    float series = fma_(s, -0.00624284893f, 0.021050714f);
    series = fma_(s, series, -0.0538475476f);
    series = fma_(s, series, 0.133325443f);
    return s * fma_(s, series, -0.333333164f);
}
// tanh(u), and factor tanh(u), for u >= 0
LETTERGPU_FN float positive_tanh(float u) {
    const float e = exp_up(-2.0f * u) * DOWN;
    return u < 0.55f ? fma_(tanh_excess(u * u), u, u) : ratio(1.0f - e, sum(1.0f, e));
}
LETTERGPU_FN float tanh_times(float factor, float u, float factor_u) {
    const float e = exp_up(-2.0f * u) * DOWN;
    return u < 0.55f ? fma_(tanh_excess(u * u), factor_u, factor_u) : times_ratio(factor, 1.0f - e, sum(1.0f, e));
}
LETTERGPU_FN double positive_tanh(double u) { return tanh(u); }
LETTERGPU_FN double tanh_times(double factor, double u, double) { return factor * tanh(u); }

// 2^32 s (1 - s) for z >= 0: with e = e^-z it is e / (1 + e)^2
template <typename T> LETTERGPU_FN T sigmoid_slope_up(T z) {
    const T up = exp_up(-z), e = up * T(DOWN);
    return ratio(up, square(sum(T(1), e)));
}

template <typename T> LETTERGPU_FN T sigmoid_value(T z) {
    const T up = exp_up(-abs_(z));
    return ratio(z < T(0) ? up : T(UP), sum(T(1), up * T(DOWN))) * T(DOWN);
}
template <typename T> LETTERGPU_FN T sigmoid_slope(T z) { return sigmoid_slope_up(abs_(z)) * T(DOWN); }

template <typename T> LETTERGPU_FN T tanh_value(T z) {
    const T t = positive_tanh(abs_(z));
    return z < T(0) ? -t : t;
}
template <typename T> LETTERGPU_FN T tanh_slope(T z) { return sigmoid_slope_up(T(2) * abs_(z)) * T(4 * DOWN); }

template <typename T> LETTERGPU_FN T relu_value(T z) { return z < T(0) ? T(0) : z; }
template <typename T> LETTERGPU_FN T relu_slope(T z) { return z < T(0) ? T(0) : T(1); }

template <typename T> LETTERGPU_FN T leaky_relu_value(T z, T a) { return z < T(0) ? a * z : z; }
template <typename T> LETTERGPU_FN T leaky_relu_slope(T z, T a) { return z < T(0) ? a : T(1); }

// 2^32 e^-|x + lost|
template <typename T> LETTERGPU_FN T swish_exp_up(T x, T lost) {
    const T up = exp_up(-abs_(x));
    return fma_(up, x < T(0) ? lost : -lost, up);
}
template <typename T> LETTERGPU_FN T swish_value(T z, T b) {
    const T x = product(b, z);
    if (x < T(-1000)) return T(0);
    if (x > T(50)) return z;
    const T up = swish_exp_up(x, fma_(b, z, -x));
    return times_ratio(z, x < T(0) ? up : T(UP), sum(T(1), up * T(DOWN))) * T(DOWN);
}
template <typename T> LETTERGPU_FN T swish_slope(T z, T b) {
    const T x = product(b, z);
    if (x < T(-1000)) return T(0);
    if (x > T(50)) return T(1);
    const T lost = fma_(b, z, -x), up = swish_exp_up(x, lost), e = up * T(DOWN);
    // with e = e^-|x| it is e (1 + x + e) / (1 + e)^2, or (1 + e (1 + x)) / (1 + e)^2
    const T factor = x < T(0) ? T(1) + x + (lost + e) : fma_(e, T(1) + x, T(1));
    return times_ratio(factor, x < T(0) ? up : T(UP), square(sum(T(1), e))) * T(DOWN);
}

template <typename T> LETTERGPU_FN T mish_value(T z) {
    if (z < T(-1000)) return T(0);
    if (z > T(25)) return z;
    const T up = exp_up(z), n_up = fma_(up, up * T(DOWN), T(2) * up);
    return times_ratio(z, n_up, sum(T(2), n_up * T(DOWN))) * T(DOWN);
}
template <typename T> LETTERGPU_FN T mish_slope(T z) {
    if (z < T(-1000)) return T(0);
    if (z > T(50)) return T(1);
    const T up = exp_up(-abs_(z)), e = up * T(DOWN);
    // with e = e^-|z| it is e (1 + z + e (z + 3/2 + e + e^2 / 4)) / (1 + e + e^2 / 2)^2,
    // or (1 + e (4 + e (6 + 4 z + e (4 + 4 z)))) / (1 + 2 e + 2 e^2)^2
    const T factor = z < T(0) ? fma_(e, fma_(e, fma_(e, T(0.25), T(1)), z + T(1.5)), T(1) + z)
                              : fma_(e, fma_(e, fma_(e, fma_(T(4), z, T(4)), fma_(T(4), z, T(6))), T(4)), T(1));
    const T e1 = z < T(0) ? e : T(2) * e, e2 = z < T(0) ? T(0.5) * e : T(2) * e, k = fma_(e2, e, e1);
    Sum<T> d = sum(T(1), k);
    d.lost += fma_(e2, e, e1 - k);
    return times_ratio(factor, z < T(0) ? up : T(UP), square(d)) * T(DOWN);
}

template <typename T> LETTERGPU_FN T tanhexp_value(T z) {
    if (z < T(-1000)) return T(0);
    if (z > T(4)) return z;
    const T up = exp_up(z);
    return tanh_times(z * T(UP), up * T(DOWN), z * up) * T(DOWN);
}
template <typename T> LETTERGPU_FN T tanhexp_slope(T z) {
    if (z < T(-1000)) return T(0);
    if (z > T(4)) return T(1);
    const T up = exp_up(z), u = up * T(DOWN), t_up = tanh_times(T(UP), u, up), t = t_up * T(DOWN);
    const T slope_up = u < T(0.55) ? fma_(-z * up, t * t, fma_(z, up, t_up))
                                   : fma_(z * up, sigmoid_slope_up(T(2) * u) * T(4 * DOWN), t_up);
    return slope_up * T(DOWN);
}

}  // namespace lettergpu
