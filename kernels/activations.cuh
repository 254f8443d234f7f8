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
// One source for two compilers: device code under NVRTC or nvcc, plain C++ elsewhere, where it is checked on every
// float. The formulas are not the textbook's, for these reasons:
//   - e^z is only taken of numbers that cannot overflow, and clamps let a NaN through (fmin would not);
//   - with n = e^z (e^z + 2), tanh(ln(1 + e^z)) = n / (n + 2) needs neither log nor tanh, and cancels nowhere;
//   - 1 - tanh(u)^2 = 4 q / (1 + q)^2 with q = e^-2u keeps its precision where tanh is near 1;
//   - far to the left Swish, Mish and TanhExp are all z e^z, and that is a normal float for some z whose e^z is
//     not (and which CuPy's -ftz=true would take for 0): there e^(z + shift) is scaled down last.

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define LETTERGPU_FN __device__ __forceinline__
#else
#include <cmath>
#define LETTERGPU_FN inline
#endif

namespace lettergpu {

LETTERGPU_FN float exp_(float x) { return expf(x); }
LETTERGPU_FN double exp_(double x) { return exp(x); }
LETTERGPU_FN float tanh_(float x) { return tanhf(x); }
LETTERGPU_FN double tanh_(double x) { return tanh(x); }
LETTERGPU_FN float expm1_(float x) { return expm1f(x); }
LETTERGPU_FN double expm1_(double x) { return expm1(x); }
LETTERGPU_FN float fma_(float a, float b, float c) { return fmaf(a, b, c); }
LETTERGPU_FN double fma_(double a, double b, double c) { return fma(a, b, c); }

template <typename T> struct Compute { using type = float; };
template <> struct Compute<double> { using type = double; };

// Left of `tail` e^z is small beside 1; left of `nothing` even z e^z is 0. Below `series` three terms are enough.
template <typename T> struct Range;
template <> struct Range<float> {
    static constexpr float tail = -80.0f, nothing = -120.0f, series = 0.125f;
};
template <> struct Range<double> {
    static constexpr double tail = -700.0, nothing = -800.0, series = 0.0078125;
};

template <typename T> LETTERGPU_FN T at_most(T z, T highest) { return z > highest ? highest : z; }
template <typename T> LETTERGPU_FN T at_least(T z, T lowest) { return z < lowest ? lowest : z; }
template <typename T> LETTERGPU_FN T abs_(T z) { return z < T(0) ? -z : z; }

// factor e^z for z left of the tail; e^-19 is within 0.03 ulp of its float
template <typename T> LETTERGPU_FN T scaled_exp(T factor, T z) {
    return factor * exp_(z + T(19)) * T(5.602796437537268e-9);
}

// 1 / (1 + e), corrected by what 1 + e and the division lose
template <typename T> LETTERGPU_FN T one_over_one_plus(T e) {
    const T d = T(1) + e, lost = e - (d - T(1)), c = T(1) / d;
    return fma_(c, fma_(-c, d, T(1)) - c * lost, c);
}

// 1 - tanh(u)^2 for u >= 0
template <typename T> LETTERGPU_FN T sech2(T u) {
    if (u > T(-0.5) * Range<T>::tail) return scaled_exp(T(4), at_least(T(-2) * u, Range<T>::nothing));
    const T q = exp_(T(-2) * u), c = one_over_one_plus(q);
    return T(4) * q * c * c;
}

// tanh(u) for u >= 0, times factor; what the division loses goes into the last rounding
template <typename T> LETTERGPU_FN T tanh_times(T factor, T u) {
    const bool left = u < T(0.55);
    const T m = left ? expm1_(T(-2) * u) : exp_(T(-2) * u);
    const T over = left ? -m : T(1) - m, under = left ? T(2) + m : T(1) + m;
    const T r = over / under;
    return fma_(factor, r, factor * (fma_(-r, under, over) / under));
}

template <typename T> LETTERGPU_FN T sigmoid_value(T z) {
    const T e = exp_(-abs_(z)), c = one_over_one_plus(e);
    return z < T(0) ? e * c : c;
}
template <typename T> LETTERGPU_FN T sigmoid_slope(T z) {
    const T e = exp_(-abs_(z)), c = one_over_one_plus(e);
    return e * c * c;
}

template <typename T> LETTERGPU_FN T tanh_value(T z) { return tanh_(z); }
template <typename T> LETTERGPU_FN T tanh_slope(T z) { return sech2(abs_(z)); }

template <typename T> LETTERGPU_FN T relu_value(T z) { return z < T(0) ? T(0) : z; }
template <typename T> LETTERGPU_FN T relu_slope(T z) { return z < T(0) ? T(0) : T(1); }

template <typename T> LETTERGPU_FN T leaky_relu_value(T z, T a) { return z < T(0) ? a * z : z; }
template <typename T> LETTERGPU_FN T leaky_relu_slope(T z, T a) { return z < T(0) ? a : T(1); }

template <typename T> LETTERGPU_FN T swish_value(T z, T b) {
    const T x = b * z;
    if (x < Range<T>::tail) return x < Range<T>::nothing ? T(0) : scaled_exp(z, x);
    const T e = exp_(-abs_(x)), c = one_over_one_plus(e);
    return z * (x < T(0) ? e * c : c);
}
template <typename T> LETTERGPU_FN T swish_slope(T z, T b) {
    const T x = at_most(b * z, -Range<T>::nothing);
    if (x < Range<T>::tail) return x < Range<T>::nothing ? T(0) : scaled_exp(T(1) + x, x);
    const T e = exp_(-abs_(x)), c = one_over_one_plus(e), s = x < T(0) ? e * c : c;
    return s * fma_(x, x < T(0) ? c : e * c, T(1));
}

// n / (n + 2), times factor; what n + 2 and the division lose goes into the last rounding
template <typename T> LETTERGPU_FN T mish_ratio_times(T factor, T n) {
    const T d = n + T(2), lost = n - (d - T(2)), r = n / d;
    return fma_(factor, r, factor * ((fma_(-r, d, n) - r * lost) / d));
}
template <typename T> LETTERGPU_FN T mish_value(T z) {
    if (z < Range<T>::tail) return z < Range<T>::nothing ? T(0) : scaled_exp(z, z);
    if (z > T(25)) return z;
    const T e = exp_(z);
    return mish_ratio_times(z, fma_(e, e, T(2) * e));
}
template <typename T> LETTERGPU_FN T mish_slope(T z) {
    if (z < Range<T>::tail) return z < Range<T>::nothing ? T(0) : scaled_exp(T(1) + z, z);
    z = at_most(z, T(25));  // from where it is 1
    const T e = exp_(z), n = fma_(e, e, T(2) * e);
    // t (1 + z w) with w = s(z) (1 - t^2) / t = 4 (1 + e) / ((n + 2) (e + 2)), which is near 1 where z < 0
    const T both = (n + T(2)) * (e + T(2));
    const T factor = z < T(0) ? fma_(-z, e * (n + T(2) * e + T(2)) / both, T(1) + z)
                              : fma_(z, T(4) * (T(1) + e) / both, T(1));
    return mish_ratio_times(factor, n);
}

template <typename T> LETTERGPU_FN T tanhexp_value(T z) {
    if (z < Range<T>::tail) return z < Range<T>::nothing ? T(0) : scaled_exp(z, z);
    return z > T(4) ? z : tanh_times(z, exp_(z));
}
template <typename T> LETTERGPU_FN T tanhexp_slope(T z) {
    if (z < Range<T>::tail) return z < Range<T>::nothing ? T(0) : scaled_exp(T(1) + z, z);
    z = at_most(z, T(4));  // from where it is 1
    const T u = exp_(z);
    // t (1 + z w) with w = e^z (1 - t^2) / t = 2u / sinh(2u), near 1 where u is small: 1 - (2u)^2 / 6 + ...
    const T v = T(4) * u * u;
    const T factor = u < Range<T>::series
                         ? fma_(-z, v * fma_(v, fma_(v, T(31.0 / 15120), T(-7.0 / 360)), T(1.0 / 6)), T(1) + z)
                         : fma_(z, T(-4) * u * exp_(T(-2) * u) / expm1_(T(-4) * u), T(1));
    return tanh_times(factor, u);
}

}  // namespace lettergpu
