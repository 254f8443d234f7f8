// A dense layer (layers.py), there and back, in float32: products of matrices that take along what is next to them.
//
//   forward    a = g(x W + b), and g'(x W + b) for the way back
//   backward   d = gradient g'(x W + b);   x^T d, and the sum of d's rows;   d W^T
//
// A block takes a tile of a product, ROWS x COLUMNS numbers, DEPTH of the inner dimension at a time: what it needs of
// both factors next is on the way from memory while it multiplies what it has. Where tiles are too few to fill the GPU,
// several blocks share one: each takes some of the inner dimension and puts its sums down, and the one that finds all
// others done adds them up, in an order that does not depend on who that is.
//
// Defined above this text when it is compiled: ROWS and COLUMNS, multiples of 16 and of 32; IN and OUT, 4, 2 or 1, of
// which fan_in and fan_out are multiples, and addresses, so that as many numbers are moved at once; VALUE(z_) and
// SLOPE(z_), the activation's; TF32, whether tensor cores multiply, factors rounded to 10 bits.

#include "activations.cuh"

namespace lettergpu {

constexpr int DEPTH = 16, THREADS = ROWS * COLUMNS / 16, EACH = 16;  // a warp has 16 x 32 numbers, a thread 16
constexpr int GAP = TF32 ? 8 : 4;  // between rows in shared memory, for the lanes of a warp to meet in few banks
constexpr int GROUP = TF32 ? 2 : 4;  // as many of a thread's numbers are side by side in a row

template <int N> struct alignas(4 * N) Few { float at[N]; };

// Of a factor of a product: where it lies, how far from one of its rows to the next, how many rows or columns it lends
// to the product; times: another matrix like it, which it is multiplied by number by number, or null.
struct Factor { const float *at, *times; int leading, size; };

struct Shared {
    alignas(16) float a[2][DEPTH][ROWS + GAP];
    alignas(16) float b[2][DEPTH][COLUMNS + GAP];
    bool last;
};

#if TF32
// To the nearest, halves away from zero, as cvt.rna.tf32.f32 does
LETTERGPU_FN float factor(float x) {
    return float_of((bits_of(x) + 0x1000u) & ~0x1fffu);
}
#else
LETTERGPU_FN float factor(float x) { return x; }
#endif

// What a block has of a factor on the way from memory: WIDTH rows or columns, DEPTH of the inner dimension; N numbers at
// once. INNER: whether those of the inner dimension are side by side in memory.
template <int WIDTH, int N, bool INNER> struct Tile {
    static constexpr int FEWS = WIDTH * DEPTH / N / THREADS;
    Few<N> held[FEWS];

    LETTERGPU_FN static int inner(int few) { return INNER ? few % (DEPTH / N) * N : few / (WIDTH / N); }
    LETTERGPU_FN static int outer(int few) { return INNER ? few / (DEPTH / N) : few % (WIDTH / N) * N; }

    LETTERGPU_FN void fetch(const Factor& factor, int first, int from, int until) {
        for (int i = 0; i < FEWS; i++) {
            const int few = i * THREADS + threadIdx.x, x = first + outer(few), k = from + inner(few);
            held[i] = {};
            if (x >= factor.size || k >= until) continue;
            const int place = INNER ? x * factor.leading + k : k * factor.leading + x;
            held[i] = *(const Few<N>*)(factor.at + place);
            if (!factor.times) continue;
            const Few<N> times = *(const Few<N>*)(factor.times + place);
            for (int n = 0; n < N; n++) held[i].at[n] *= times.at[n];
        }
    }

    LETTERGPU_FN void keep(float (*shared)[WIDTH + GAP]) const {
        for (int i = 0; i < FEWS; i++) {
            const int few = i * THREADS + threadIdx.x, x = outer(few), k = inner(few);
            Few<N> rounded;
            for (int n = 0; n < N; n++) rounded.at[n] = lettergpu::factor(held[i].at[n]);
            if (INNER)
                for (int n = 0; n < N; n++) shared[k + n][x] = rounded.at[n];
            else
                *(Few<N>*)&shared[k][x] = rounded;
        }
    }

    // Its numbers to those of the columns that this thread always has of it, as long as INNER is false
    LETTERGPU_FN void add_to(Few<N>& sums) const {
        for (int i = 0; i < FEWS; i++)
            for (int n = 0; n < N; n++) sums.at[n] += held[i].at[n];
    }
};

// The row and the column within the tile of a thread's group of numbers
LETTERGPU_FN int row_of(int group) {
    const int lane = threadIdx.x % 32, first = threadIdx.x / 32 / (COLUMNS / 32) * 16;
    return first + (TF32 ? lane / 4 + group % 2 * 8 : lane / 8 * 4 + group);
}
LETTERGPU_FN int column_of(int group) {
    const int lane = threadIdx.x % 32, first = threadIdx.x / 32 % (COLUMNS / 32) * 32;
    return first + (TF32 ? group / 2 * 8 + lane % 4 * 2 : lane % 8 * 4);
}

#if TF32
// sum (16, 8) += a (16, 8) b (8, 8) of a warp, each lane holding what PTX's m16n8k8 says
LETTERGPU_FN void multiply_in_warp(float* sum, const float (&a)[4], const float (&b)[2]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(bits_of(a[0])), "r"(bits_of(a[1])), "r"(bits_of(a[2])), "r"(bits_of(a[3])), "r"(bits_of(b[0])),
          "r"(bits_of(b[1])));
#else  // the same lane by lane, for GPUs before it and for tests on a CPU
    const int lane = threadIdx.x % 32;
    for (int k = 0; k < 8; k++) {
        const float upper = __shfl_sync(~0u, a[k / 4 * 2], lane / 4 * 4 + k % 4);
        const float lower = __shfl_sync(~0u, a[k / 4 * 2 + 1], lane / 4 * 4 + k % 4);
        for (int right = 0; right < 2; right++) {
            const float factor = __shfl_sync(~0u, b[k / 4], (lane % 4 * 2 + right) * 4 + k % 4);
            sum[right] = fma_(upper, factor, sum[right]);
            sum[2 + right] = fma_(lower, factor, sum[2 + right]);
        }
    }
#endif
}
#endif

LETTERGPU_FN void multiply(const float (*a)[ROWS + GAP], const float (*b)[COLUMNS + GAP], float (&sum)[EACH]) {
#if TF32
    const int lane = threadIdx.x % 32, row = threadIdx.x / 32 / (COLUMNS / 32) * 16 + lane / 4;
    const int column = threadIdx.x / 32 % (COLUMNS / 32) * 32 + lane / 4;
    for (int k = lane % 4; k < DEPTH; k += 8) {
        const float left[4] = {a[k][row], a[k][row + 8], a[k + 4][row], a[k + 4][row + 8]};
        for (int i = 0; i < 4; i++) {
            const float right[2] = {b[k][column + i * 8], b[k + 4][column + i * 8]};
            multiply_in_warp(sum + i * 4, left, right);
        }
    }
#else
    const int row = row_of(0), column = column_of(0);
#pragma unroll
    for (int k = 0; k < DEPTH; k++) {
        const Few<4> left = *(const Few<4>*)&a[k][row], right = *(const Few<4>*)&b[k][column];
        for (int i = 0; i < EACH; i++) sum[i] = fma_(left.at[i / 4], right.at[i % 4], sum[i]);
    }
#endif
}

// What a share of a tile has summed up over its part of the inner dimension, and if not null the sums of b's columns
template <class A, class B, class Sums>
LETTERGPU_FN void add_up(const Factor& left, const Factor& right, int row, int column, int depth, int share, int shares,
                         Shared& shared, float (&sum)[EACH], Sums sums) {
    const int part = (depth + DEPTH * shares - 1) / (DEPTH * shares) * DEPTH, from = share * part;
    const int until = from + part < depth ? from + part : depth;
    A a;
    B b;
    a.fetch(left, row, from, until);
    b.fetch(right, column, from, until);
    for (int at = from, turn = 0; at < until; at += DEPTH, turn ^= 1) {
        a.keep(shared.a[turn]);
        b.keep(shared.b[turn]);
        sums(b);
        __syncthreads();  // one is enough: who writes this half again has passed the other half's
        if (at + DEPTH < until) {
            a.fetch(left, row, at + DEPTH, until);
            b.fetch(right, column, at + DEPTH, until);
        }
        multiply(shared.a[turn], shared.b[turn], sum);
    }
}

// Whether this is the share that finds all others of the tile done; then `sum` and `of_column` are those of all.
// put_down: (shares, EACH + 1, THREADS). done: 0, and again afterwards.
LETTERGPU_FN bool last_share(float (&sum)[EACH], float& of_column, float* put_down, unsigned* done, int share,
                             int shares, bool& last) {
    if (shares == 1) return true;
    float* own = put_down + share * ((EACH + 1) * THREADS) + threadIdx.x;
    for (int i = 0; i < EACH; i++) own[i * THREADS] = sum[i];
    own[EACH * THREADS] = of_column;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) last = atomicAdd(done, 1u) == unsigned(shares) - 1;
    __syncthreads();
    if (!last) return false;
    __threadfence();
    for (int i = 0; i <= EACH; i++) {
        float total = 0;
        for (int from = 0; from < shares; from++)
            total += ((volatile const float*)put_down)[(from * (EACH + 1) + i) * THREADS + threadIdx.x];
        (i < EACH ? sum[i] : of_column) = total;
    }
    if (threadIdx.x == 0) *done = 0;
    return true;
}

// A thread's numbers, a group at a time, to where they belong in a matrix (rows, columns), N at once
template <int N, class Put> LETTERGPU_FN void each_few(int row, int column, int rows, int columns, Put put) {
    constexpr int AT_ONCE = N < GROUP ? N : GROUP;
    for (int group = 0; group < EACH / GROUP; group++)
        for (int i = 0; i < GROUP; i += AT_ONCE) {
            const int x = row + row_of(group), y = column + column_of(group) + i;
            if (x < rows && y < columns) put(x * columns + y, y, group * GROUP + i);
        }
}

template <int N> LETTERGPU_FN void put_few(float* to, const float* from, bool add = false) {
    Few<N> few;
    for (int n = 0; n < N; n++) few.at[n] = from[n] + (add ? to[n] : 0.0f);
    *(Few<N>*)to = few;
}

}  // namespace lettergpu

// Grid: (tiles of (rows, fan_out) times shares, members). x: (members, rows, fan_in), or with x_apart 0 one for all;
// value, slope: (members, rows, fan_out); bias and slope may be null. put_down, done: `last_share`'s, for each tile of each member.
extern "C" __global__ void __launch_bounds__(lettergpu::THREADS, 1)
dense_forward(const float* x, const float* weight, const float* bias, float* value, float* slope, float* put_down,
              unsigned* done, long long x_apart, int rows, int fan_in, int fan_out, int shares) {
    using namespace lettergpu;
    constexpr int AT_ONCE = OUT < GROUP ? OUT : GROUP;
    __shared__ Shared shared;
    const int across = (fan_out + COLUMNS - 1) / COLUMNS, tile = blockIdx.x / shares, share = blockIdx.x % shares;
    const int row = tile / across * ROWS, column = tile % across * COLUMNS;
    const long long member = blockIdx.y, index = member * (gridDim.x / shares) + tile;
    const Factor left = {x + member * x_apart, nullptr, fan_in, rows};
    const Factor right = {weight + member * fan_in * fan_out, nullptr, fan_out, fan_out};
    float sum[EACH] = {}, none = 0;
    add_up<Tile<ROWS, IN, true>, Tile<COLUMNS, OUT, false>>(left, right, row, column, fan_in, share, shares, shared, sum,
                                                            [](const auto&) {});
    put_down += index * shares * ((EACH + 1) * THREADS);
    if (!last_share(sum, none, put_down, done + index, share, shares, shared.last)) return;
    const long long first = member * rows * fan_out;
    each_few<OUT>(row, column, rows, fan_out, [&](int place, int y, int i) {
        float values[AT_ONCE], slopes[AT_ONCE];
        for (int n = 0; n < AT_ONCE; n++) {
            const float z_ = sum[i + n] + (bias ? bias[member * fan_out + y + n] : 0.0f);
            values[n] = VALUE(z_);
            slopes[n] = SLOPE(z_);
        }
        put_few<AT_ONCE>(value + first + place, values);
        if (slope) put_few<AT_ONCE>(slope + first + place, slopes);
    });
}

// Grid: (tiles of (fan_in, fan_out) times weight_shares + tiles of (rows, fan_in) times input_shares, members); without
// the latter input_gradient is not computed. gradient, slope: (members, rows, fan_out), slope null for 1. bias_gradient
// may be null. put_down, done: as above, first of the tiles of the weight's gradient.
extern "C" __global__ void __launch_bounds__(lettergpu::THREADS, 1)
dense_backward(const float* gradient, const float* slope, const float* x, const float* weight, float* weight_gradient,
               float* bias_gradient, float* input_gradient, float* put_down, unsigned* done, long long x_apart,
               int rows, int fan_in, int fan_out, int weight_shares, int input_shares, bool add) {
    using namespace lettergpu;
    constexpr int AT_ONCE_OUT = OUT < GROUP ? OUT : GROUP, AT_ONCE_IN = IN < GROUP ? IN : GROUP;
    __shared__ Shared shared;
    const int weight_across = (fan_out + COLUMNS - 1) / COLUMNS, input_across = (fan_in + COLUMNS - 1) / COLUMNS;
    const int weight_tiles = (fan_in + ROWS - 1) / ROWS * weight_across;
    const int input_tiles = input_shares ? (rows + ROWS - 1) / ROWS * input_across : 0;
    const bool of_input = blockIdx.x >= unsigned(weight_tiles * weight_shares);
    const int block = of_input ? blockIdx.x - weight_tiles * weight_shares : blockIdx.x;
    const int shares = of_input ? input_shares : weight_shares, across = of_input ? input_across : weight_across;
    const int tile = block / shares, share = block % shares;
    const int row = tile / across * ROWS, column = tile % across * COLUMNS;
    const long long member = blockIdx.y, tiles = weight_tiles + input_tiles;
    const long long outputs = member * rows * fan_out, weights = member * fan_in * fan_out;
    const long long put = member * (weight_tiles * weight_shares + input_tiles * input_shares) +
                          (of_input ? weight_tiles * weight_shares : 0) + tile * shares;
    put_down += put * ((EACH + 1) * THREADS);
    done += member * tiles + (of_input ? weight_tiles : 0) + tile;
    const Factor d = {gradient + outputs, slope ? slope + outputs : nullptr, fan_out, of_input ? rows : fan_out};
    float sum[EACH] = {}, of_column = 0;
    if (of_input) {
        const Factor right = {weight + weights, nullptr, fan_out, fan_in};
        add_up<Tile<ROWS, OUT, true>, Tile<COLUMNS, OUT, true>>(d, right, row, column, fan_out, share, shares, shared,
                                                                sum, [](const auto&) {});
        if (!last_share(sum, of_column, put_down, done, share, shares, shared.last)) return;
        each_few<IN>(row, column, rows, fan_in, [&](int place, int, int i) {
            put_few<AT_ONCE_IN>(input_gradient + member * rows * fan_in + place, sum + i);
        });
        return;
    }
    const bool sums_columns = bias_gradient && row == 0;
    const Factor left = {x + member * x_apart, nullptr, fan_in, fan_in};
    Few<OUT> sums = {};
    add_up<Tile<ROWS, IN, false>, Tile<COLUMNS, OUT, false>>(
        left, d, row, column, rows, share, shares, shared, sum, [&](const auto& b) {
            if (sums_columns) b.add_to(sums);
        });
    if (sums_columns) {  // what each thread has of its columns, by way of shared memory, to one thread a column
        float(*parts)[COLUMNS] = (float(*)[COLUMNS])shared.b;
        constexpr int PARTS = THREADS * OUT / COLUMNS;
        static_assert(sizeof(float) * PARTS * COLUMNS <= sizeof(Shared));
        __syncthreads();
        *(Few<OUT>*)&parts[threadIdx.x / (COLUMNS / OUT)][threadIdx.x % (COLUMNS / OUT) * OUT] = sums;
        __syncthreads();
        if (threadIdx.x < COLUMNS)
            for (int part = 0; part < PARTS; part++) of_column += parts[part][threadIdx.x];
        __syncthreads();
    }
    if (!last_share(sum, of_column, put_down, done, share, shares, shared.last)) return;
    each_few<OUT>(row, column, fan_in, fan_out, [&](int place, int, int i) {
        put_few<AT_ONCE_OUT>(weight_gradient + weights + place, sum + i, add);
    });
    const int y = column + threadIdx.x;
    if (sums_columns && threadIdx.x < COLUMNS && y < fan_out) {
        float& total = bias_gradient[member * fan_out + y];
        total = add ? total + of_column : of_column;
    }
}
