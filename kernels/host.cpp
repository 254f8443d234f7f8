// A training step on the CPU: the products of matrices with what surrounds them, and the other operations, each one
// pass over memory on all cores. backends/compiled.py compiles this where there is a compiler; nothing depends on it.
//
// A product A B is made panel by panel of B, WIDTH columns packed strip by strip, ROWS rows of A at a time: the sums of
// so many rows and a strip stay in registers over the whole inner dimension, and what is to be done with them is done
// before they are written. Each sum is added up in the same order however many threads there are.
//
// Two thirds of a letter's pixels are 0. Where all rows of A that are taken together are, there is nothing to add (not
// even 0 times infinity). So of such an A only SPARSE_ROWS are taken together, and some two fifths of the first layer's
// work fall away. With two it is more, but the panel is read more often: slower in some minutes of a shared machine.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "assemble.cuh"
#include "momentum.cuh"
#include "philox.cuh"
#include "threads.h"

#if defined(__AVX512F__)
enum { LANES = 16, COLUMNS = 4, ROWS = 6 };  // 24 of 32 registers hold sums
#elif defined(__AVX__)
enum { LANES = 8, COLUMNS = 2, ROWS = 6 };
#else
enum { LANES = 4, COLUMNS = 4, ROWS = 6 };
#endif
enum { SPARSE_ROWS = 4 };
enum { STRIP = LANES * COLUMNS, WIDTH = 64, DEPTH = 1024 };  // a panel of DEPTH rows stays in the second-level cache
enum { CHUNK = 86 * 12 };  // rows of A, a few more than 1024, of which at most DEPTH columns are gathered at once
enum { AHEAD = 24 };  // rows of B that are asked of memory before they are packed
enum { WIDE = 16 };  // vectors of one row's product that are summed at once

typedef float vec __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef std::ptrdiff_t Index;
typedef uint16_t Place;  // below DEPTH
using lettergpu::in_parts;

// While one of these lives, its thread takes numbers below 1e-38 for 0, as the GPU does. The velocity of a weight whose
// pixel is always dark falls below that, and arithmetic with such numbers takes many times as long.
#if defined(__SSE__)
struct Flushing {
    unsigned before = _mm_getcsr();
    Flushing() { _mm_setcsr(before | 0x8040); }
    ~Flushing() { _mm_setcsr(before); }
};
#else
struct Flushing {
    ~Flushing() {}
};
#endif

static inline vec load(const float* p) { return *(const vec*)p; }
static inline void store(float* p, vec x) { *(vec*)p = x; }
static inline vec all(float x) { return x - vec{}; }

// ---- activations: the formulas of activations.py, value and slope together

// e^x to about an ulp, 0 below -87.3: x = n ln 2 + r, a polynomial for e^r (Cephes), 2^n into the exponent
static inline vec exp_of(vec x) {
    const vec y = x > 88.0f ? all(88.0f) : x;
    const vec magic = all(12582912.0f), n = (y * 1.44269504f + magic) - magic;
    const vec r = (y - n * 0.693359375f) + n * 2.12194440e-4f;
    vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    const ivec exponent = __builtin_convertvector(n, ivec) << 23;
    const vec result = (vec)((ivec)p + exponent);
    return x < -87.3f ? vec{} : x == x ? result : x;
}

struct Both { vec value, slope; };

static inline vec absolute(vec z) { return z < 0.0f ? -z : z; }
static inline vec at_most(vec z, float highest) { return z > highest ? all(highest) : z; }
static inline vec at_least(vec z, float lowest) { return z < lowest ? all(lowest) : z; }

static inline Both sigmoid(vec z) {
    const vec e = exp_of(-absolute(z)), c = 1.0f / (1.0f + e);
    return {z < 0.0f ? e * c : c, e * c * c};
}

// tanh(u) and 1 - tanh(u)^2 for u >= 0; the polynomial (Cephes) where 1 - e^-2u would cancel
static inline Both tanh_of_positive(vec u) {
    const vec q = exp_of(-2.0f * u), c = 1.0f / (1.0f + q), s = u * u;
    vec p = s * -5.70498872745e-3f + 2.06390887954e-2f;
    p = p * s - 5.37397155531e-2f;
    p = p * s + 1.33314422036e-1f;
    p = p * s - 3.33332819422e-1f;
    return {u < 0.625f ? u + u * s * p : (1.0f - q) * c, 4.0f * q * c * c};
}

enum Activation { IDENTITY, SIGMOID, TANH, RELU, LEAKY_RELU, SWISH, MISH, TANHEXP };

static inline Both activated(int activation, float leak, vec z) {
    const vec one = all(1.0f);
    switch (activation) {
        case SIGMOID: return sigmoid(z);
        case TANH: {
            const Both t = tanh_of_positive(absolute(z));
            return {z < 0.0f ? -t.value : t.value, t.slope};
        }
        case RELU: return {z < 0.0f ? vec{} : z, z < 0.0f ? vec{} : one};
        case LEAKY_RELU: return {z < 0.0f ? leak * z : z, z < 0.0f ? all(leak) : one};
        case SWISH: {
            const Both s = sigmoid(z);
            return {at_least(z, -800.0f) * s.value, s.value + at_most(at_least(z, -800.0f), 800.0f) * s.slope};
        }
        case MISH: {
            const vec y = at_least(at_most(z, 25.0f), -800.0f), e = exp_of(y), n = e * (e + 2.0f), c = 1.0f / (n + 2.0f);
            return {at_least(z, -800.0f) * (n * c), (n + 4.0f * y * e * (1.0f + e) * c) * c};
        }
        case TANHEXP: {
            const vec y = at_least(at_most(z, 4.0f), -800.0f), u = exp_of(y);
            const Both t = tanh_of_positive(u);
            return {at_least(z, -800.0f) * t.value, t.value + y * u * t.slope};
        }
    }
    return {z, one};
}

// ---- products

struct Matrix {  // element (i, j) is at data[i * row + j * column]
    const float* data;
    Index row, column;
};

// The columns `first` to `first` + `depth` of a in which not all of these rows are 0, counted from `first`
static Index nonzero(Matrix a, Index m, Index rows, Index first, Index depth, Place* places) {
    const float* from = a.data + m * a.row + first * a.column;
    uint32_t any[DEPTH] = {};  // as wide as the numbers, for the compiler
    if (a.column == 1)
        for (Index i = 0; i < rows; i++)
            for (Index k = 0; k < depth; k++) any[k] |= from[i * a.row + k] != 0.0f;
    else
        for (Index k = 0; k < depth; k++)
            for (Index i = 0; i < rows; i++) any[k] |= from[i * a.row + k * a.column] != 0.0f;
    Index count = 0;
    for (Index k = 0; k < depth; k++) {
        places[count] = Place(k);
        count += any[k];
    }
    return count;
}

// numbers <- of those rows and columns of a, column by column, `high` for each; with places only of columns in which
// not all are 0, and places <- which ones, counted from `first`
template <int high>
static Index gather(Matrix a, Index m, Index rows, Index first, Index depth, Place* places, float* numbers) {
    const float* from = a.data + m * a.row + first * a.column;
    if (a.row == 1 && rows == high) {
        Index count = 0;
        for (Index k = 0; k < depth; k++, from += a.column) {
            uint64_t bits[high / 2], any = 0;
            std::memcpy(bits, from, sizeof bits);
            std::memcpy(numbers + count * high, bits, sizeof bits);
            for (const uint64_t two : bits) any |= two;
            if (places) places[count] = Place(k);
            count += !places || (any & 0x7fffffff7fffffff) != 0;  // -0 is 0 as well
        }
        return count;
    }
    const Index count = places ? nonzero(a, m, rows, first, depth, places) : depth;
    for (Index place = 0; place < count; place++, numbers += high)
        for (Index i = 0; i < rows; i++)
            numbers[i] = from[i * a.row + (places ? Index(places[place]) : place) * a.column];
    return count;
}

// sums <- the product of `rows` rows of a with a panel whose rows are `step` apart; without `all`, of a's columns there
// are those `count` that were gathered from these places
template <int rows, bool all>
static inline __attribute__((always_inline)) void tile(const float* a, Index row, Index column, const float* panel,
                                                        Index step, const Place* places, Index count, float* sums) {
    vec s[rows][COLUMNS];
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < COLUMNS; j++) s[i][j] = vec{};
#pragma GCC unroll 4  // a loop this short takes 15 % longer where it begins in the middle of a line of memory
    for (Index place = 0; place < count; place++) {
        const Index k = all ? place : places[place];
        vec b[COLUMNS];
        for (int j = 0; j < COLUMNS; j++) b[j] = load(panel + k * step + j * LANES);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < COLUMNS; j++) s[i][j] += a[i * row + place * column] * b[j];
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < COLUMNS; j++) store(sums + i * WIDTH + j * LANES, s[i][j]);
}

template <int rows = ROWS>
static inline void tile_of(int wanted, bool all, const float* a, Index row, Index column, const float* panel,
                           Index step, const Place* places, Index count, float* sums) {
    if (wanted == rows)
        return all ? tile<rows, true>(a, row, column, panel, step, places, count, sums)
                   : tile<rows, false>(a, 1, SPARSE_ROWS, panel, step, places, count, sums);
    if constexpr (rows > 1) tile_of<rows - 1>(wanted, all, a, row, column, panel, step, places, count, sums);
}

// panel <- `width` columns of b from column n on, `depth` rows from `first` on; STRIP of them lie together
static void pack(Matrix b, Index first, Index depth, Index n, int width, float* panel) {
    const float* from = b.data + first * b.row + n * b.column;
    const int whole = width / STRIP * STRIP;
    if (whole < width) std::fill_n(panel + whole * depth, STRIP * depth, 0.0f);
    for (Index k = 0; k < depth && b.column == 1; k++, from += b.row) {
        for (int j = 0; j < WIDTH; j += 16) __builtin_prefetch(from + AHEAD * b.row + j);
        for (int j = 0; j < whole; j += STRIP) std::memcpy(panel + j * depth + k * STRIP, from + j, STRIP * 4);
        for (int j = whole; j < width; j++) panel[whole * depth + k * STRIP + j - whole] = from[j];
    }
    for (Index begin = 0; begin < depth && b.column != 1; begin += 64)  // few enough for the first-level cache
        for (int j = 0; j < width; j++)
            for (Index k = begin; k < std::min(begin + 64, depth); k++)
                panel[j / STRIP * STRIP * depth + k * STRIP + j % STRIP] = from[k * b.row + j * b.column];
}

// Room for this many numbers until the thread's next call, at the beginning of a cache line: no load is of two lines
static float* scratch(Index count) {
    static thread_local std::vector<float> space;
    if (Index(space.size()) < count + 16) space.resize(count + 16);
    return (float*)((std::uintptr_t(space.data()) + 63) & ~std::uintptr_t(63));
}

// A piece of a product, `width` columns from column n and `rows` rows from row m, to its place in c
static inline void put(float* c, Index N, Index m, int rows, Index n, int width, const float* sums) {
    for (int i = 0; i < rows; i++) {
        float* to = c + (m + i) * N + n;
        for (int j = 0; j < width; j += 16) __builtin_prefetch(to + rows * N + j, 1);  // the next piece's place
        if (width == WIDTH)
            for (int j = 0; j < WIDTH; j += LANES) store(to + j, load(sums + i * WIDTH + j));
        else
            std::memcpy(to, sums + i * WIDTH, width * 4);
    }
}

// A piece of a product, with `add` and what c holds at its place, goes to that place if there is `more`, else to finish
template <typename Finish>
static inline void complete(float* c, Index N, Index m, int rows, Index n, int width, float* sums, bool add, bool more,
                            Finish finish) {
    if (add)
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < width; j++) sums[i * WIDTH + j] += c[(m + i) * N + n + j];
    if (more)
        put(c, N, m, rows, n, width, sums);
    else
        finish(m, rows, n, width, sums);
}

// sums <- of those rows of b, `step` apart, that are at these places, times the numbers of a there
template <int width>
static inline void row_sums(const float* a, const float* b, Index step, const Place* places, Index count,
                            float* sums) {
    vec s[width] = {};
    for (Index place = 0; place < count; place++)
        for (int j = 0; j < width; j++) s[j] += a[places[place]] * load(b + places[place] * step + j * LANES);
    for (int j = 0; j < width; j++) store(sums + j * LANES, s[j]);
}

// The product of one row, as `product`. It waits for memory and for nothing else: so b is read where it is, those of
// its rows alone whose factor is not 0, much of each at once, and by this thread, as others take longer to be woken.
template <typename Finish>
static void row_product(const float* a, const float* b, Index N, Index K, Finish finish) {
    const Flushing flushing;
    Place places[DEPTH];
    const Index count = nonzero({a, K, 1}, 0, 1, 0, K, places);
    alignas(64) float sums[WIDE * LANES];
    Index n = 0;
    for (; n + WIDE * LANES <= N; n += WIDE * LANES) {
        row_sums<WIDE>(a, b + n, N, places, count, sums);
        for (int part = 0; part < WIDE * LANES; part += WIDTH) finish(0, 1, n + part, WIDTH, sums + part);
    }
    for (; n < N; n += WIDTH) {
        const int width = int(std::min<Index>(WIDTH, N - n));
        if (width == WIDTH)
            row_sums<WIDTH / LANES>(a, b + n, N, places, count, sums);
        else {
            std::fill_n(sums, WIDTH, 0.0f);
            for (Index place = 0; place < count; place++)
                for (int j = 0; j < width; j++) sums[j] += a[places[place]] * b[places[place] * N + n + j];
        }
        finish(0, 1, n, width, sums);
    }
}

#include "bfloat16.h"

static bool rounding = false;  // the factors of products, to bfloat16

// Each piece of the product of a (M x K) and b (K x N) is handed to finish(m, rows, n, width, sums) when it is complete.
// c holds sums from one piece of a long inner dimension to the next; with `add` it starts from what c holds.
template <typename Finish>
static void product(Matrix a, Matrix b, float* c, bool add, Index M, Index N, Index K, Finish finish) {
    if (rounding) return rounded_product(a, b, c, add, M, N, K, finish);
    if (M == 1 && K <= DEPTH && a.column == 1 && b.column == 1 && !add)
        return row_product(a.data, b.data, N, K, finish);
    const Index panels = (N + WIDTH - 1) / WIDTH, threads = M * N * K > 1000000 ? Index(lettergpu::threads().count) : 1;
    const Index deepest = std::min<Index>(DEPTH, K), middle = M / 2 / SPARSE_ROWS * SPARSE_ROWS;  // there a letter is
    static thread_local std::vector<Place> all_places(DEPTH);
    static thread_local std::vector<Index> all_counts;
    static thread_local std::vector<float> all_numbers;
    const bool sparse = panels > 1 && nonzero(a, middle, std::min<Index>(SPARSE_ROWS, M - middle), 0, deepest,
                                              all_places.data()) < deepest * 9 / 10;
    const bool gathered = panels > 1 && (sparse || a.column != 1);
    const Index high = sparse ? Index(SPARSE_ROWS) : Index(ROWS);
    const Index blocks = (std::min<Index>(CHUNK, M) + high - 1) / high;
    if (sparse) all_places.resize(std::max<size_t>(all_places.size(), blocks * deepest));
    if (gathered) all_counts.resize(std::max<size_t>(all_counts.size(), blocks));
    if (gathered) all_numbers.resize(std::max<size_t>(all_numbers.size(), blocks * deepest * high));
    Place* const places = all_places.data();  // of block i from i * deepest on
    float* const numbers = all_numbers.data();
    Index* const counts = all_counts.data();

    for (Index top = 0; top < M; top += CHUNK)
        for (Index k = 0; k == 0 || k < K; k += DEPTH) {
            const Index bottom = std::min<Index>(top + CHUNK, M), depth = std::min<Index>(DEPTH, K - k);
            if (gathered)
                in_parts((bottom - top + high - 1) / high, 24 / high, [=](Index block, Index end) {
                    for (; block < end; block++) {
                        const Index m = top + block * high, rows = std::min<Index>(high, bottom - m);
                        float* const to = numbers + block * deepest * high;
                        counts[block] = sparse
                            ? gather<SPARSE_ROWS>(a, m, rows, k, depth, places + block * deepest, to)
                            : gather<ROWS>(a, m, rows, k, depth, nullptr, to);
                    }
                });
            const auto part = [=](Index first_row, Index last_row, Index first_column, Index last_column) {
                const Flushing flushing;
                float* const panel = scratch(depth * WIDTH);
                alignas(64) float sums[ROWS * WIDTH];
                for (Index n = first_column; n < last_column; n += WIDTH) {
                    const int width = int(std::min<Index>(WIDTH, N - n));
                    const bool packed = M > 4 * ROWS || width < WIDTH || b.column != 1;  // of few rows it does not pay
                    if (packed) pack(b, k, depth, n, width, panel);
                    for (Index m = first_row; m < last_row; m += high) {
                        const int rows = int(std::min<Index>(high, last_row - m));
                        const Index block = (m - top) / high, count = gathered ? counts[block] : depth;
                        const float* const from =
                            gathered ? numbers + block * deepest * high : a.data + m * a.row + k * a.column;
                        for (int j = 0; j < width; j += STRIP)
                            tile_of(rows, count == depth, from, gathered ? 1 : a.row, gathered ? high : a.column,
                                    packed ? panel + j * depth : b.data + k * b.row + n + j,
                                    packed ? Index(STRIP) : b.row, places + block * deepest, count, sums + j);
                        complete(c, N, m, rows, n, width, sums, k || add, k + DEPTH < K, finish);
                    }
                }
            };
            if (threads == 1)
                part(top, bottom, 0, N);
            else if (panels % threads == 0 || panels > 4 * threads)
                in_parts(N, WIDTH, [=](Index begin, Index end) { part(top, bottom, begin, end); });
            else {
                const Index share = ((bottom - top + high - 1) / high + threads - 1) / threads * high;
                in_parts(bottom - top, share, [=](Index begin, Index end) { part(top + begin, top + end, 0, N); });
            }
        }
}

// ---- the other operations

enum { SIDE = 28, PART = 16384 };  // so many numbers are worth a task of their own

// Each square of four pixels of an image, one pixel outside too, as one number: one load instead of four
struct Squares {
    enum { STRIDE = SIDE + 4 };
    uint32_t squares[(SIDE + 1) * STRIDE];
    explicit Squares(const uint8_t* image) {
        uint32_t pixels[(SIDE + 2) * STRIDE] = {};
        for (int row = 0; row < SIDE; row++)
            for (int column = 0; column < SIDE; column++)
                pixels[(row + 1) * STRIDE + column + 1] = image[row * SIDE + column];
        for (int i = 0; i < (SIDE + 1) * STRIDE - 1; i++)
            squares[i] = pixels[i] | pixels[i + 1] << 8 | pixels[i + STRIDE] << 16 | pixels[i + STRIDE + 1] << 24;
    }
    lettergpu::Corners<float> corners(int row, int column) const {
        const uint32_t all = squares[(row + 1) * STRIDE + column + 1];
        return {float(int(all & 255)), float(int(all >> 8 & 255)), float(int(all >> 16 & 255)), float(int(all >> 24))};
    }
};

// Whether a map (2, length) leaves every pixel where it is
static bool stays(const float* map, Index length) {
    for (Index i = 0; i < 2 * length; i++)
        if (map[i] != (i == 0 || i == length + 1 ? 1.0f : 0.0f)) return false;
    return true;
}

static inline void to_floats(const uint8_t* image, Index count, float* x) {
    for (Index i = 0; i < count; i++) x[i] = float(image[i]) / 255.0f;
}

// x <- the pixels of an image, moved by a map (2, 3 + n n) if there is one. waves: (n, SIDE)
static void pixels_of(const uint8_t* image, const float* map, const float* waves, Index n, float* x) {
    if (!map || stays(map, 3 + n * n)) return to_floats(image, SIDE * SIDE, x);
    const Squares squares(image);
    float from[2][SIDE][SIDE];  // the coordinates that each pixel comes from
    for (int axis = 0; axis < 2; axis++, map += 3 + n * n) {
        for (int row = 0; row < SIDE; row++)
            for (int column = 0; column < SIDE; column++)
                from[axis][row][column] = map[0] * float(row) + (map[1] * float(column) + map[2]);
        for (Index i = 0; i < n; i++) {
            float along[SIDE] = {};
            for (Index j = 0; j < n; j++)
                for (int column = 0; column < SIDE; column++)
                    along[column] += map[3 + i * n + j] * waves[j * SIDE + column];
            for (int row = 0; row < SIDE; row++)
                for (int column = 0; column < SIDE; column++)
                    from[axis][row][column] += waves[i * SIDE + row] * along[column];
        }
    }
    const float *y = from[0][0], *across = from[1][0];
#pragma omp simd
    for (int i = 0; i < SIDE * SIDE; i++)
        x[i] = lettergpu::bilinear<SIDE, SIDE>(squares, y[i], across[i]) / 255.0f;
}

static inline float target(Index c, Index label, Index classes, float smoothing) {
    return (c == label ? 1.0f - smoothing : 0.0f) + smoothing / classes;
}

static inline float highest_of(const float* z, Index classes, float highest) {
    for (Index c = 0; c < classes; c++) highest = z[c] > highest ? z[c] : highest;
    return highest;
}

// e^(z - highest), until the thread's next call
static const float* exponentials(const float* z, Index classes, float highest) {
    const Index count = (classes + LANES - 1) / LANES * LANES;
    float* const padded = scratch(count);  // what lies beyond the classes is computed and not used
    for (Index c = 0; c < classes; c++) padded[c] = z[c] - highest;
    for (Index c = 0; c < count; c += LANES) store(padded + c, exp_of(load(padded + c)));
    return padded;
}

// Whether the logit at the label is the first of the highest; a NaN is higher than everything
static bool is_first(const float* z, Index classes, Index label) {
    bool before = false;
    for (Index c = 0; c < classes; c++) before |= !(z[c] <= z[label]) || (z[c] == z[label] && c < label);
    return !before;
}

extern "C" {

void use_threads(int count) { lettergpu::threads().count = count; }

// Whether all products round their factors to bfloat16 from now on: as wanted, where that can be
int round_factors(int wanted) { return rounding = wanted && may_round(); }

// value <- g(x W + b), and, if it is not null, slope <- g'(x W + b); a null bias is 0
void dense(const float* x, const float* weight, const float* bias, float* value, float* slope, Index rows, Index fan_in,
           Index fan_out, int activation, float leak) {
    product({x, fan_in, 1}, {weight, fan_out, 1}, value, false, rows, fan_out, fan_in,
            [=](Index m, int rows, Index n, int width, float* sums) {
                alignas(64) float biases[WIDTH] = {}, slopes[ROWS * WIDTH];
                if (bias) std::memcpy(biases, bias + n, width * 4);
                for (int i = 0; i < rows; i++)
                    for (int j = 0; j < width; j += LANES) {
                        float* sum = sums + i * WIDTH + j;
                        const Both both = activated(activation, leak, load(sum) + load(biases + j));
                        store(sum, both.value);
                        store(slopes + i * WIDTH + j, both.slope);
                    }
                put(value, fan_out, m, rows, n, width, sums);
                if (slope) put(slope, fan_out, m, rows, n, width, slopes);
            });
}

// gradient <- delta W^T
void gradient_of_input(const float* delta, const float* weight, float* gradient, Index rows, Index fan_in,
                       Index fan_out) {
    product({delta, fan_out, 1}, {weight, 1, fan_out}, gradient, false, rows, fan_in, fan_out,
            [=](Index m, int rows, Index n, int width, float* sums) {
                put(gradient, fan_in, m, rows, n, width, sums);
            });
}

// weight_gradient <- x^T delta, bias_gradient <- the sum of delta's rows; with `add` they are added
void set_gradients(const float* x, const float* delta, float* weight_gradient, float* bias_gradient, int add,
                   Index rows, Index fan_in, Index fan_out) {
    product({x, 1, fan_in}, {delta, fan_out, 1}, weight_gradient, add, fan_in, fan_out, rows,
            [=](Index m, int rows, Index n, int width, float* sums) {
                put(weight_gradient, fan_out, m, rows, n, width, sums);
            });
    if (bias_gradient && !add) std::fill_n(bias_gradient, fan_out, 0.0f);
    if (bias_gradient)
        in_parts(fan_out, std::max<Index>(WIDTH, PART / std::max<Index>(rows, 1)), [=](Index first, Index end) {
            for (Index row = 0; row < rows; row++)
                for (Index n = first; n < end; n++) bias_gradient[n] += delta[row * fan_out + n];
        });
}

// z <- (z - its mean) / sqrt(its variance + epsilon), node by node; value <- g(y), slope <- g'(y), y = scale z + bias.
// factor <- scale / sqrt(variance + epsilon); the running mean and variance go `pace` of the way to the batch's, or all
// of it where the running variance is 0. given_mean, given_variance: those of the batch where z is not all of it, or none
void normalised(float* z, const float* given_mean, const float* given_variance, const float* scale, const float* bias,
                float* mean, float* variance, float* factor, float* value, float* slope, Index rows, Index nodes,
                int activation, float leak, float epsilon, float pace) {
    in_parts(nodes, WIDTH, [=](Index first, Index end) {
        const Flushing flushing;
        const Index width = end - first;
        double sums[WIDTH] = {}, squares[WIDTH] = {};
        alignas(64) float middle[WIDTH] = {}, per[WIDTH] = {}, scales[WIDTH] = {}, biases[WIDTH] = {};
        float spread[WIDTH] = {};
        alignas(64) float y[WIDTH] = {}, g[WIDTH], s[WIDTH];
        std::memcpy(scales, scale + first, width * 4);
        std::memcpy(biases, bias + first, width * 4);
        if (given_mean) {
            std::memcpy(middle, given_mean + first, width * 4);
            std::memcpy(spread, given_variance + first, width * 4);
        } else {
            for (Index row = 0; row < rows; row++)
                for (Index j = 0; j < width; j++) sums[j] += z[row * nodes + first + j];
            for (Index j = 0; j < width; j++) middle[j] = float(sums[j] / double(rows));
            for (Index row = 0; row < rows; row++)
                for (Index j = 0; j < width; j++) {
                    const float away = z[row * nodes + first + j] - middle[j];
                    squares[j] += away * away;
                }
            for (Index j = 0; j < width; j++) spread[j] = float(squares[j] / double(rows));
        }
        for (Index j = 0; j < width; j++) {
            const float step = variance[first + j] == 0.0f ? 1.0f : pace;
            per[j] = 1.0f / std::sqrt(spread[j] + epsilon);
            factor[first + j] = scales[j] * per[j];
            mean[first + j] += step * (middle[j] - mean[first + j]);
            variance[first + j] += step * (spread[j] - variance[first + j]);
        }
        for (Index row = 0; row < rows; row++) {
            const Index at = row * nodes + first;
            for (Index j = 0; j < width; j++) {
                z[at + j] = (z[at + j] - middle[j]) * per[j];
                y[j] = z[at + j] * scales[j] + biases[j];
            }
            for (int j = 0; j < WIDTH; j += LANES) {
                const Both both = activated(activation, leak, load(y + j));
                store(g + j, both.value);
                store(s + j, both.slope);
            }
            std::memcpy(value + at, g, width * 4);
            std::memcpy(slope + at, s, width * 4);
        }
    });
}

// delta <- the gradient with respect to the z that `normalised` was given, from that with respect to g(y); standard is
// what it made of z, factor scale / sqrt(variance + epsilon). Scale's and bias's gradients are set, or with `add` added
void gradient_before_normalised(const float* gradient, const float* slope, const float* standard, const float* factor,
                                float* scale_gradient, float* bias_gradient, float* delta, int add, Index rows,
                                Index nodes) {
    in_parts(nodes, WIDTH, [=](Index first, Index end) {
        const Flushing flushing;
        const Index width = end - first;
        double along[WIDTH] = {}, level[WIDTH] = {};
        float tilt[WIDTH] = {}, shift[WIDTH] = {};
        for (Index row = 0; row < rows; row++)
            for (Index at = row * nodes + first, j = 0; j < width; j++) {
                const float part = gradient[at + j] * slope[at + j];
                delta[at + j] = part;
                along[j] += part * standard[at + j];
                level[j] += part;
            }
        for (Index j = 0; j < width; j++) {
            scale_gradient[first + j] = float(along[j]) + (add ? scale_gradient[first + j] : 0.0f);
            bias_gradient[first + j] = float(level[j]) + (add ? bias_gradient[first + j] : 0.0f);
            tilt[j] = float(along[j] / double(rows)), shift[j] = float(level[j] / double(rows));
        }
        for (Index row = 0; row < rows; row++)
            for (Index at = row * nodes + first, j = 0; j < width; j++)
                delta[at + j] = (delta[at + j] - standard[at + j] * tilt[j] - shift[j]) * factor[first + j];
    });
}

void momentum_step(float* parameters, float* velocity, const float* gradients, const float* learning_rate,
                   Index count, Index decayed, float momentum, float l2, int nesterov) {
    const float rate = *learning_rate;
    in_parts(count, PART, [=](Index begin, Index end) {
        const Flushing flushing;
        for (Index i = begin; i < end; i++)
            lettergpu::momentum_step(parameters[i], velocity[i], gradients[i], rate, momentum, i < decayed ? l2 : 0.0f,
                                     nesterov);
    });
}

// delta <- gradient slope
void gradient_before(const float* gradient, const float* slope, float* delta, Index count) {
    in_parts(count, PART, [=](Index begin, Index end) {
        const Flushing flushing;
        for (Index i = begin; i < end; i++) delta[i] = gradient[i] * slope[i];
    });
}

// drawn: (rows, count)
void uniforms(const int64_t* rows, Index count, uint32_t low, uint32_t high, uint32_t epoch, uint32_t purpose, Index n,
              float* drawn) {
    in_parts(n, std::max<Index>(1, 1024 / std::max<Index>(count, 1)), [=](Index row, Index end) {
        for (; row < end; row++)
            for (Index i = 0; i < count; i += 4) {
                const auto words = lettergpu::philox(rows[row], i / 4, epoch, purpose, low, high);
                const Index left = std::min<Index>(4, count - i);
                for (Index j = 0; j < left; j++) drawn[row * count + i + j] = lettergpu::uniform(words.w[j]);
            }
    });
}

// tables: (longer side, rounds)
void permuted(const int64_t* numbers, const int64_t* tables, Index rounds, Index a, Index b, Index count,
              int64_t* places) {
    in_parts(count, 2048, [=](Index i, Index end) {
        for (; i < end; i++) places[i] = lettergpu::permuted(numbers[i], tables, int(rounds), a, b, count);
    });
}

// found <- of an array whose rows have so many bytes, those of batch `number`: `rows` of its `size`, from `before` on
void window(const int64_t* number, const char* array, Index size, Index before, Index rows, Index bytes, char* found) {
    std::memcpy(found, array + (*number * size + before) * bytes, rows * bytes);
}

void count_batch(int64_t* number) { ++*number; }  // glibc has an `advance`, which would be called instead

void count_in(float* losses, int64_t* right, const float* of_losses, const bool* of_right, Index rows) {
    for (Index row = 0; row < rows; row++) losses[row] += of_losses[row], right[row] += of_right[row];
}

// maps: (maps_given, 2, 3 + n n). waves: (n, SIDE)
void assemble(const uint8_t* images, const int64_t* rows, const float* maps, Index maps_given, const float* waves,
              Index n, Index count, float* pixels) {
    in_parts(count, 8, [=](Index place, Index end) {
        for (; place < end; place++)
            pixels_of(images + rows[place] * (SIDE * SIDE),
                      place < maps_given ? maps + 2 * place * (3 + n * n) : nullptr, waves, n,
                      pixels + place * (SIDE * SIDE));
    });
}

// As kernels/losses.cu has them
void softmax_cross_entropy(const float* logits, const int64_t* labels, const float* weights, float* losses, bool* right,
                           float* gradient, Index rows, Index classes, float batch, float smoothing) {
    in_parts(rows, 32, [=](Index row, Index end) {
        for (; row < end; row++) {
            const float *z = logits + row * classes, own = z[labels[row]], weight = weights[labels[row]];
            const float highest = highest_of(z, classes, own), *const e = exponentials(z, classes, highest);
            float aimed_at = own - highest, total = 0.0f, shifted = 0.0f;
            for (Index c = 0; c < classes; c++) shifted += z[c] - highest, total += e[c];
            if (smoothing > 0.0f) aimed_at = (1.0f - smoothing) * aimed_at + smoothing * (shifted / classes);
            for (Index c = 0; c < classes; c++)
                gradient[row * classes + c] =
                    (e[c] / total - target(c, labels[row], classes, smoothing)) * (weight / batch);
            losses[row] = (std::log(total) - aimed_at) * weight;
            right[row] = is_first(z, classes, labels[row]);
        }
    });
}

void sigmoid_binary_cross_entropy(const float* logits, const int64_t* labels, const float* weights, float* losses,
                                  bool* right, float* gradient, Index rows, Index classes, float batch,
                                  float smoothing) {
    in_parts(rows, 32, [=](Index row, Index end) {
        for (; row < end; row++) {
            const float *z = logits + row * classes, weight = weights[labels[row]];
            float loss = 0.0f;
            for (Index c = 0; c < classes; c++) {
                const float y = target(c, labels[row], classes, smoothing), e = std::exp(-std::fabs(z[c]));
                loss += (z[c] > 0.0f ? z[c] : 0.0f) - y * z[c] + std::log1p(e);
                gradient[row * classes + c] = ((z[c] < 0.0f ? e : 1.0f) / (1.0f + e) - y) * (weight / batch);
            }
            losses[row] = loss * weight;
            right[row] = is_first(z, classes, labels[row]);
        }
    });
}

}  // extern "C"

#include "answers.h"

// ---- recorded calls: of each the place of a `called`, then its arguments, every one at the begin of a slot

enum { SLOT = 8 };  // bytes

template <typename Kind>
static Kind argument(const char* slot) {
    Kind found;
    std::memcpy(&found, slot, sizeof found);
    return found;
}

template <typename... Kinds, std::size_t... I>
static void apply(void (*function)(Kinds...), const char* slots, std::index_sequence<I...>) {
    function(argument<Kinds>(slots + I * SLOT)...);
}

template <typename... Kinds>
static void spread(void (*function)(Kinds...), const char* slots) {
    apply(function, slots, std::index_sequence_for<Kinds...>());
}

template <auto function>
static void called(const char* slots) {
    spread(function, slots);
}

extern "C" {

// The `called` of a function of this name, or null
const void* caller(const char* name) {
#define CALLER(function) \
    if (!std::strcmp(name, #function)) return (const void*)called<function>;
    CALLER(window) CALLER(assemble) CALLER(dense) CALLER(normalised)
    CALLER(softmax_cross_entropy) CALLER(sigmoid_binary_cross_entropy) CALLER(count_in)
    CALLER(gradient_before) CALLER(gradient_before_normalised) CALLER(set_gradients) CALLER(gradient_of_input)
    CALLER(momentum_step) CALLER(count_batch)
#undef CALLER
    return nullptr;
}

// So many calls one after another, each of so many slots
void call(const char* calls, Index count, Index slots) {
    for (; count > 0; count--, calls += SLOT * slots)
        argument<void (*)(const char*)>(calls)(calls + SLOT);
}

}  // extern "C"
