// Every float32 (or one in STEP) through one activation of kernels/activations.cuh, against double precision.
// Compiled and read by ulp.py, once for each FUNCTION (the float's) and EXACT (the double's). ZERO is where the exact
// one crosses zero, or NAN: within 1 of it an error is only measured absolutely, as ulp mean nothing there.
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "activations.cuh"

// The textbook's formulas, in double, where no float overflows or cancels them badly enough to matter
static double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }
static double tanh_slope(double z) { return 1 / (std::cosh(z) * std::cosh(z)); }
static double swish(double z) { return z / (1 + std::exp(-z)); }
static double swish_slope(double z) { return sigmoid(z) * (1 + z * sigmoid(-z)); }
static double mish(double z) { return z > 40 ? z : z * std::tanh(std::log1p(std::exp(z))); }
static double mish_slope(double z) {
    if (z > 40) return 1;
    const double t = std::tanh(std::log1p(std::exp(z))), c = 1 / std::cosh(std::log1p(std::exp(z)));
    return t + z * sigmoid(z) * c * c;
}
static double tanhexp(double z) { return z > 5 ? z : z * std::tanh(std::exp(z)); }
static double tanhexp_slope(double z) {
    if (z > 5) return 1;
    const double u = std::exp(z), c = 1 / std::cosh(u);
    return std::tanh(u) + z * u * c * c;
}
static double sigmoid_slope(double z) { return sigmoid(z) * sigmoid(-z); }

int main() {
    enum { BINS = 10 };  // errors of at most 0.5, 1, 1.5, 2, 3, 4, 8, 64, 1e6 ulp, and more
    const double edges[BINS - 1] = {0.5, 1, 1.5, 2, 3, 4, 8, 64, 1e6};
    unsigned long long bins[BINS] = {0}, nans = 0, checked = 0, small = 0;
    double worst = 0, worst_absolute = 0;
    float at = 0, at_absolute = 0;
#pragma omp parallel
    {
        unsigned long long my_bins[BINS] = {0}, my_nans = 0, my_checked = 0, my_small = 0;
        double my_worst = 0, my_absolute = 0;
        float my_at = 0, my_at_absolute = 0;
#pragma omp for schedule(static)
        for (int64_t pattern = 0; pattern < (int64_t(1) << 32); pattern += STEP) {
            const uint32_t bits = uint32_t(pattern);
            float z;
            std::memcpy(&z, &bits, 4);
            if (!std::isfinite(z)) continue;
            const float got = lettergpu::FUNCTION;
            const double exact = EXACT(double(z)), error = std::fabs(double(got) - exact);
            my_checked++;
            if (!std::isfinite(got)) { my_nans++; continue; }
            if (std::fabs(z - ZERO) < 1) {
                if (error > my_absolute) { my_absolute = error; my_at_absolute = z; }
                continue;
            }
            if (std::fabs(exact) < FLT_MIN) {
                my_small += error > FLT_MIN;
                continue;
            }
            int exponent;
            std::frexp(exact, &exponent);
            const double ulps = std::ldexp(error, 24 - exponent);
            int bin = 0;
            while (bin < BINS - 1 && ulps > edges[bin]) bin++;
            my_bins[bin]++;
            if (ulps > my_worst) { my_worst = ulps; my_at = z; }
        }
#pragma omp critical
        {
            for (int bin = 0; bin < BINS; bin++) bins[bin] += my_bins[bin];
            nans += my_nans;
            checked += my_checked;
            small += my_small;
            if (my_worst > worst) { worst = my_worst; at = my_at; }
            if (my_absolute > worst_absolute) { worst_absolute = my_absolute; at_absolute = my_at_absolute; }
        }
    }
    std::printf("{\"checked\": %llu, \"not_finite\": %llu, \"subnormal_off\": %llu, \"worst_ulp\": %.4f, \"at\": %.9g, "
                "\"worst_near_zero\": %.4g, \"at_near_zero\": %.9g, \"histogram\": {",
                checked, nans, small, worst, at, worst_absolute, at_absolute);
    for (int bin = 0; bin < BINS; bin++)
        bin < BINS - 1 ? std::printf("\"%g\": %llu, ", edges[bin], bins[bin]) : std::printf("\"more\": %llu}}\n", bins[bin]);
}
