// What ulp.py compiles and calls with arrays: the activations of kernels/activations.cuh, exact ones in double, others'
// in float for comparison, and the one definition of an error in ulp. The table of functions comes from ulp.py.
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "activations.cuh"

// The textbook's formulas in double, where no float makes them overflow or cancel badly enough to matter. Beyond 1000
// either e^z or e^-z is 0, and the formulas would multiply it by an infinite z.
namespace exact {
static double at_most_1000(double z) { return z < -1000 ? -1000 : z > 1000 ? 1000 : z; }
static double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }
static double sigmoid_slope(double z) { return sigmoid(z) * sigmoid(-z); }
static double tanh_slope(double z) { return 1 / (std::cosh(z) * std::cosh(z)); }
static double relu(double z, double a) { return z < 0 ? (a == 0 ? 0 : a * z) : z; }
static double relu_slope(double z, double a) { return z < 0 ? a : 1; }
static double swish(double z, double b) { return z < -1000 ? 0 : z * sigmoid(b * z); }
static double swish_slope(double z, double b) {
    const double x = at_most_1000(b * z);
    return sigmoid(x) * (1 + x * sigmoid(-x));
}
static double mish(double z) { return z < -1000 ? 0 : z > 40 ? z : z * std::tanh(std::log1p(std::exp(z))); }
static double mish_slope(double z) {
    z = at_most_1000(z);
    if (z > 40) return 1;
    const double u = std::log1p(std::exp(z)), c = 1 / std::cosh(u);
    return std::tanh(u) + z * sigmoid(z) * c * c;
}
static double tanhexp(double z) { return z < -1000 ? 0 : z > 5 ? z : z * std::tanh(std::exp(z)); }
static double tanhexp_slope(double z) {
    z = at_most_1000(z);
    if (z > 5) return 1;
    const double u = std::exp(z), c = 1 / std::cosh(u);
    return std::tanh(u) + z * u * c * c;
}
}  // namespace exact

// The report's formulas as they stand, in float
namespace report {
static float sigmoid(float z) { return 1 / (1 + std::exp(-z)); }
static float swish(float z) { return z * sigmoid(z); }
static float swish_slope(float z) { return swish(z) + sigmoid(z) * (1 - swish(z)); }
static float mish(float z) { return z * std::tanh(std::log(1 + std::exp(z))); }
static float mish_slope(float z) {
    const float e = std::exp(z), e2 = std::exp(2 * z), e3 = std::exp(3 * z);
    const float omega = 4 * (z + 1) + 4 * e2 + e3 + e * (4 * z + 6), delta = 2 * e + e2 + 2;
    return e * omega / (delta * delta);
}
static float tanhexp(float z) { return z * std::tanh(std::exp(z)); }
static float tanhexp_slope(float z) {
    const float e = std::exp(z), t = std::tanh(e);
    return t - z * e * (t * t - 1);
}
}  // namespace report

// Thinc's CUDA kernels for float (explosion/thinc, thinc/backends/_custom_kernels.cu), with the thresholds that its
// Python code passes, and its constants that are doubles
namespace thinc {
static float sigmoid(float z) { return 1.0 / (1.0 + std::exp(-z)); }
static float swish(float z) { return z >= 17 ? z : z <= -17 ? 0 : z * sigmoid(z); }
static float swish_slope(float z) {
    const float y = swish(z), s = 1.0 / (1 + std::exp(-z));
    return z >= 17 ? 1 : z <= -17 ? 0 : y + s * (1 - y);
}
static float mish(float z) { return z >= 5 ? z : report::mish(z); }
static float mish_slope(float z) {
    const float e = std::exp(z), e2 = std::exp(2 * z), e3 = std::exp(3 * z);
    const float omega = 4.0 * (z + 1) + 4 * e2 + e3 + e * (4.0 * z + 6), delta = 2 * e + e2 + 2;
    return z >= 5 ? 1 : e * omega / (delta * delta);
}
}  // namespace thinc

#define FUNCTION(name, Number, result)                           \
    extern "C" void name(const float* in, Number* out, long n) { \
        for (long i = 0; i < n; i++) {                           \
            const Number z = in[i];                              \
            out[i] = result;                                     \
        }                                                        \
    }
#include "functions.inc"

// A binary floating-point type: the digits of its significands, the exponent of its smallest normal number, its largest
// number. A result that is below `flushed` may be 0.
struct Type {
    int digits, least;
    double largest, flushed;
};

// The spacing of the type's numbers about x, which is finite
static double ulp_at(double x, const Type& type) {
    uint64_t pattern;
    std::memcpy(&pattern, &x, 8);
    const int exponent = int(pattern >> 52 & 0x7ff) - 1023;
    pattern = uint64_t((exponent > type.least ? exponent : type.least) + 1 - type.digits + 1023) << 52;
    double ulp;
    std::memcpy(&ulp, &pattern, 8);
    return ulp;
}
// The type's number next to x, of two the even one
static double rounded(double x, const Type& type) {
    if (!std::isfinite(x)) return x;
    const double result = std::nearbyint(x / ulp_at(x, type)) * ulp_at(x, type);
    return std::fabs(result) > type.largest ? std::copysign(INFINITY, x) : result;
}
extern "C" void round_all(float* x, long n, const Type* type) {
    for (long i = 0; i < n; i++) x[i] = float(rounded(x[i], *type));
}

enum { BINS = 10 };  // errors of at most so many ulp, and more
static const double edges[BINS - 1] = {0.5, 1, 1.5, 2, 3, 4, 8, 64, 1e6};

struct Errors {
    int64_t checked, not_finite, limit_off, nan_lost, subnormal_off, bins[BINS];
    double worst_ulp, at, worst_near_zero, at_near_zero;

    void add(double z, double got, double exact, double zero, double reach, const Type& type) {
        if (std::isnan(z)) {
            nan_lost += std::isnan(exact) && !std::isnan(got);
            return;
        }
        if (std::isinf(z)) {
            limit_off += got != rounded(exact, type);
            return;
        }
        checked++;
        if (!std::isfinite(got)) {
            not_finite++;
            return;
        }
        const double error = std::fabs(got - exact);
        if (std::fabs(z - zero) < reach) {
            if (error > worst_near_zero) worst_near_zero = error, at_near_zero = z;
            return;
        }
        if (std::fabs(exact) < type.flushed) {
            subnormal_off += error > type.flushed;
            return;
        }
        const double ulps = error / ulp_at(exact, type);
        int bin = 0;
        while (bin < BINS - 1 && ulps > edges[bin]) bin++;
        bins[bin]++;
        if (ulps > worst_ulp) worst_ulp = ulps, at = z;
    }
};

// Adds the errors of what was got at each z. Less than `reach` away from `zero`, where the exact function crosses zero
// (or NAN), an error is only measured absolutely, since an ulp means nothing there.
extern "C" void add_errors(const float* z, const float* got, const double* exact, long n, double zero, double reach,
                           const Type* type, Errors* errors) {
    for (long i = 0; i < n; i++) errors->add(z[i], got[i], exact[i], zero, reach, *type);
}
extern "C" void merge(const Errors* others, Errors* errors) {
    errors->checked += others->checked;
    errors->not_finite += others->not_finite;
    errors->limit_off += others->limit_off;
    errors->nan_lost += others->nan_lost;
    errors->subnormal_off += others->subnormal_off;
    for (int bin = 0; bin < BINS; bin++) errors->bins[bin] += others->bins[bin];
    if (others->worst_ulp > errors->worst_ulp) errors->worst_ulp = others->worst_ulp, errors->at = others->at;
    if (others->worst_near_zero > errors->worst_near_zero)
        errors->worst_near_zero = others->worst_near_zero, errors->at_near_zero = others->at_near_zero;
}

// At how many z two results differ, but for a z and for results that are subnormal
extern "C" int64_t count_unlike(const float* z, const float* a, const float* b, long n) {
    int64_t count = 0;
    for (long i = 0; i < n; i++) {
        const bool subnormal = std::fabs(z[i]) < FLT_MIN || (std::fabs(a[i]) < FLT_MIN && std::fabs(b[i]) < FLT_MIN);
        count += a[i] != b[i] && !subnormal && !(std::isnan(a[i]) && std::isnan(b[i]));
    }
    return count;
}
