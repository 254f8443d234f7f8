// A dense layer (layers.py), there and back, in float32: products of matrices that take along what is next to them.
//
//   forward    a = g(x W + b), and g'(x W + b) for the way back
//   backward   x^T d, and the sum of d's rows;   d W^T, times the slope of the layer before
//
// A block takes a tile of a product, ROWS x COLUMNS numbers, DEPTH of the inner dimension at a time: while it multiplies
// what it has, what it needs in the next STAGES - 1 turns is on the way from memory. Where tiles are too few to fill the
// GPU, several blocks share one: each takes some of the inner dimension and puts its sums down, and the one that finds
// all others done adds them up, in an order that does not depend on who that is.
//
// Defined above this text when it is compiled: ROWS and COLUMNS, multiples of 16 and of 32; DEPTH, one of 8; IN and OUT,
// 4, 2 or 1, of which fan_in and fan_out are multiples, and addresses, so that as many numbers are moved at once;
// VALUE(z_) and SLOPE(z_), the activation's; TF32, whether tensor cores multiply, factors rounded to 10 bits.

#include "activations.cuh"

#if defined(__CUDA_ARCH__)
#define ON_GPU (__CUDA_ARCH__ >= 800)  // has asynchronous copies, and tensor cores that know TF32
#else
#define ON_GPU 0
#endif

namespace lettergpu {

constexpr int STAGES = ROWS + COLUMNS > 128 ? 3 : ROWS + COLUMNS > 64 ? 4 : 6;
constexpr int BANDS = ROWS >= 128 ? 2 : 1;  // of 16 rows; a warp has as many, by 32 columns
constexpr int EACH = 16 * BANDS, THREADS = ROWS * COLUMNS / EACH;  // a thread's numbers; how many threads have theirs
constexpr int ACROSS = COLUMNS / 32;       // warps side by side
constexpr int GAP = TF32 ? 8 : 4;  // between rows in shared memory, for the lanes of a warp to meet in few banks

template <int N> struct alignas(4 * N) Few { float at[N]; };
template <int N> struct Count { static constexpr int value = N; };

// Of a factor of a product: where it lies, how far from one of its rows to the next, how many rows or columns it lends
// to the product.
struct Factor { const float* at; int leading, size; };

// As much as N numbers from memory to shared memory, which is there after `arrived`; or zeros
template <int N> LETTERGPU_FN void send(float* to, const float* from, bool there) {
#if ON_GPU
    const unsigned place = unsigned(__cvta_generic_to_shared(to)), size = there ? 4 * N : 0;
    if (N == 4)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(place), "l"(from), "r"(size) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(place), "l"(from), "n"(4 * N), "r"(size)
                     : "memory");
#else
    *(Few<N>*)to = there ? *(const Few<N>*)from : Few<N>{};
#endif
}
LETTERGPU_FN void sent() {  // what was sent since the last time is a parcel
#if ON_GPU
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
LETTERGPU_FN void arrived() {  // this thread's parcels, all but the last STAGES - 2
#if ON_GPU
    asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
#endif
}

// From the L2 cache, where other blocks may have put it
LETTERGPU_FN float fresh(const float* from) {
#if ON_GPU
    return __ldcg(from);
#else
    return *(volatile const float*)from;
#endif
}

#if TF32
// To the nearest, halves away from zero, as cvt.rna.tf32.f32 does
LETTERGPU_FN float factor(float x) { return float_of((bits_of(x) + 0x1000u) & ~0x1fffu); }
#endif

// What a block has of a factor for a turn: WIDTH rows or columns, DEPTH of the inner dimension; N numbers are moved at
// once. INNER: whether those of the inner dimension are side by side, in memory and here.
template <int WIDTH, int N, bool INNER> struct Tile {
    static constexpr bool inner_first = INNER;
    static constexpr int FEWS = WIDTH * DEPTH / N / THREADS;
    static constexpr int LEADING = INNER ? DEPTH + 4 : WIDTH + GAP, SIZE = (INNER ? WIDTH : DEPTH) * LEADING;

    LETTERGPU_FN static int place(int x, int k) { return INNER ? x * LEADING + k : k * LEADING + x; }
    LETTERGPU_FN static int inner(int few) { return INNER ? few % (DEPTH / N) * N : few / (WIDTH / N); }
    LETTERGPU_FN static int outer(int few) { return INNER ? few / (DEPTH / N) : few % (WIDTH / N) * N; }

    LETTERGPU_FN static void fetch(float* tile, const Factor& factor, int first, int from, int until) {
#pragma unroll
        for (int i = 0; i < FEWS; i++) {
            const int few = i * THREADS + threadIdx.x, x = first + outer(few), k = from + inner(few);
            const bool there = x < factor.size && k < until;
            const int at = INNER ? x * factor.leading + k : k * factor.leading + x;
            send<N>(tile + place(outer(few), inner(few)), factor.at + (there ? at : 0), there);
        }
    }

    // What this thread has sent: made ready to be multiplied, and added to the sums of its columns, which are always
    // the same, as long as INNER is false
    template <class Sums> LETTERGPU_FN static void prepare(float* tile, Sums sums) {
        if (!TF32 && !sums.wanted) return;
#pragma unroll
        for (int i = 0; i < FEWS; i++) {
            const int few = i * THREADS + threadIdx.x;
            Few<N>& own = *(Few<N>*)(tile + place(outer(few), inner(few)));
            Few<N> numbers = own;
            sums.add(numbers);
#if TF32
            for (int n = 0; n < N; n++) numbers.at[n] = factor(numbers.at[n]);
            own = numbers;
#endif
        }
    }
};

struct NoSums {
    static constexpr bool wanted = false;
    template <class F> LETTERGPU_FN void add(const F&) const {}
};
template <int N> struct ColumnSums {
    Few<N>& sums;
    const bool wanted;
    LETTERGPU_FN void add(const Few<N>& few) const {
        if (wanted)
            for (int n = 0; n < N; n++) sums.at[n] += few.at[n];
    }
};

// The row and the column within the tile of a thread's number i. Where the inner dimension comes first in a factor, a
// thread's rows are 4 apart, its columns 8, for its lanes to meet in few banks.
template <class A> LETTERGPU_FN int row_of(int i) {
    const int lane = threadIdx.x % 32, first = threadIdx.x / 32 / ACROSS * (16 * BANDS) + i / 16 * 16;
    if (TF32) return first + lane / 4 + i / 2 % 2 * 8;
    return first + (A::inner_first ? lane / 8 + i / 4 % 4 * 4 : lane / 8 * 4 + i / 4 % 4);
}
template <class B> LETTERGPU_FN int column_of(int i) {
    const int lane = threadIdx.x % 32, first = threadIdx.x / 32 % ACROSS * 32;
    if (TF32) return first + i % 16 / 4 * 8 + lane % 4 * 2 + i % 2;
    return first + (B::inner_first ? lane % 8 + i % 4 * 8 : lane % 8 * 4 + i % 4);
}
template <class B> constexpr int SIDE_BY_SIDE = TF32 ? 2 : B::inner_first ? 1 : 4;  // of a thread's numbers

#if TF32
// sum (16, 8) += a (16, 8) b (8, 8) of a warp, each lane holding what PTX's m16n8k8 says
LETTERGPU_FN void multiply_in_warp(float* sum, const float (&a)[4], const float (&b)[2]) {
#if ON_GPU
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

template <class A, class B> LETTERGPU_FN void multiply(const float* a, const float* b, float (&sum)[EACH]) {
    const int lane = threadIdx.x % 32;
#if TF32
    const int row = threadIdx.x / 32 / ACROSS * (16 * BANDS) + lane / 4, column = threadIdx.x / 32 % ACROSS * 32 + lane / 4;
#pragma unroll
    for (int turn = 0; turn < DEPTH; turn += 8) {
        const int k = turn + lane % 4;
        float left[BANDS][4];
        for (int band = 0; band < BANDS; band++)
            for (int i = 0; i < 4; i++) left[band][i] = a[A::place(row + band * 16 + i % 2 * 8, k + i / 2 * 4)];
        for (int i = 0; i < 4; i++) {
            const float right[2] = {b[B::place(column + i * 8, k)], b[B::place(column + i * 8, k + 4)]};
            for (int band = 0; band < BANDS; band++) multiply_in_warp(sum + band * 16 + i * 4, left[band], right);
        }
    }
#else
#pragma unroll
    for (int k = 0; k < DEPTH; k += 4) {
        float left[4 * BANDS][4], right[4][4];  // [row][k], [k][column]
#pragma unroll
        for (int i = 0; i < 4 * BANDS; i++) {
            const int row = A::inner_first ? row_of<A>(i * 4) : row_of<A>(i / 4 * 16);
            const Few<4> few = *(const Few<4>*)(a + A::place(row, A::inner_first ? k : k + i % 4));
            for (int n = 0; n < 4; n++) (A::inner_first ? left[i][n] : left[i / 4 * 4 + n][i % 4]) = few.at[n];
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const Few<4> few = *(const Few<4>*)(b + B::place(column_of<B>(B::inner_first ? i : 0), B::inner_first ? k : k + i));
            for (int n = 0; n < 4; n++) (B::inner_first ? right[n][i] : right[i][n]) = few.at[n];
        }
#pragma unroll
        for (int n = 0; n < 4; n++)
            for (int i = 0; i < EACH; i++) sum[i] = fma_(left[i / 4][n], right[n][i % 4], sum[i]);
    }
#endif
}

template <class A, class B> constexpr int ROOM = STAGES * (A::SIZE + B::SIZE);  // in shared memory

// What a share of a tile has summed up over its part of the inner dimension; of b's columns too, if `sums` wants them
template <class A, class B, class Sums>
LETTERGPU_FN void add_up(const Factor& left, const Factor& right, int row, int column, int depth, int share, int shares,
                         float* room, float (&sum)[EACH], Sums sums) {
    const int part = (depth + DEPTH * shares - 1) / (DEPTH * shares) * DEPTH, from = share * part;
    const int until = from + part < depth ? from + part : depth;
    float *a = room, *b = room + STAGES * A::SIZE;
    const auto fetch = [&](int turn) {
        const int at = from + turn * DEPTH, stage = turn % STAGES;
        if (at < until) {
            A::fetch(a + stage * A::SIZE, left, row, at, until);
            B::fetch(b + stage * B::SIZE, right, column, at, until);
        }
        sent();
    };
    for (int turn = 0; turn < STAGES - 1; turn++) fetch(turn);
    for (int turn = 0; from + turn * DEPTH < until; turn++) {
        float *here = a + turn % STAGES * A::SIZE, *there = b + turn % STAGES * B::SIZE;
        arrived();
        A::prepare(here, NoSums());
        B::prepare(there, sums);
        __syncthreads();  // one is enough: what is sent now takes the place of what all have multiplied
        fetch(turn + STAGES - 1);
        multiply<A, B>(here, there, sum);
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
    for (int i = 0; i < EACH; i++) sum[i] = 0;
    of_column = 0;
#pragma unroll 2
    for (int from = 0; from < shares; from++) {  // one after another, the numbers of each at once
        const float* put = put_down + from * ((EACH + 1) * THREADS) + threadIdx.x;
        for (int i = 0; i < EACH; i++) sum[i] += fresh(put + i * THREADS);
        of_column += fresh(put + EACH * THREADS);
    }
    if (threadIdx.x == 0) *done = 0;
    return true;
}

// A thread's numbers to where they belong in a matrix (rows, columns), as many of N at once as are side by side
template <class A, class B, int N, class Put>
LETTERGPU_FN void each_few(int row, int column, int rows, int columns, Put put) {
    constexpr int AT_ONCE = N < SIDE_BY_SIDE<B> ? N : SIDE_BY_SIDE<B>;
#pragma unroll
    for (int i = 0; i < EACH; i += AT_ONCE) {
        const int x = row + row_of<A>(i), y = column + column_of<B>(i);
        if (x < rows && y < columns) put(Count<AT_ONCE>(), x * columns + y, y, i);
    }
}

template <int N> LETTERGPU_FN void put_few(float* to, const float* from, bool add = false) {
    Few<N> few;
    for (int n = 0; n < N; n++) few.at[n] = from[n] + (add ? to[n] : 0.0f);
    *(Few<N>*)to = few;
}

}  // namespace lettergpu

// Grid: (tiles of (rows, fan_out) times shares, members). x: (members, rows, fan_in), or with x_apart 0 one for all;
// value, slope: (members, rows, fan_out); bias and slope may be null. put_down, done: `last_share`'s, for each tile of
// each member.
extern "C" __global__ void __launch_bounds__(lettergpu::THREADS, 1)
dense_forward(const float* x, const float* weight, const float* bias, float* value, float* slope, float* put_down,
              unsigned* done, long long x_apart, int rows, int fan_in, int fan_out, int shares) {
    using namespace lettergpu;
    typedef Tile<ROWS, IN, true> A;
    typedef Tile<COLUMNS, OUT, false> B;
    alignas(16) __shared__ float room[ROOM<A, B>];
    __shared__ bool last;
    const int across = (fan_out + COLUMNS - 1) / COLUMNS, tile = blockIdx.x / shares, share = blockIdx.x % shares;
    const int row = tile / across * ROWS, column = tile % across * COLUMNS;
    const long long member = blockIdx.y, index = member * (gridDim.x / shares) + tile;
    const Factor left = {x + member * x_apart, fan_in, rows};
    const Factor right = {weight + member * fan_in * fan_out, fan_out, fan_out};
    float sum[EACH] = {}, none = 0;
    add_up<A, B>(left, right, row, column, fan_in, share, shares, room, sum, NoSums());
    put_down += index * shares * ((EACH + 1) * THREADS);
    if (!last_share(sum, none, put_down, done + index, share, shares, last)) return;
    const long long first = member * rows * fan_out;
    each_few<A, B, OUT>(row, column, rows, fan_out, [&](auto count, int place, int y, int i) {
        constexpr int N = decltype(count)::value;
        float values[N], slopes[N];
        for (int n = 0; n < N; n++) {
            const float z_ = sum[i + n] + (bias ? bias[member * fan_out + y + n] : 0.0f);
            values[n] = VALUE(z_);
            slopes[n] = SLOPE(z_);
        }
        put_few<N>(value + first + place, values);
        if (slope) put_few<N>(slope + first + place, slopes);
    });
}

// Grid: (tiles of (fan_in, fan_out) times weight_shares + tiles of (rows, fan_in) times input_shares, members); without
// the latter input_gradient is not computed. delta: (members, rows, fan_out). slope: like x, what the gradient of x is
// multiplied by, or null for 1. bias_gradient may be null. put_down, done: as above, first of the tiles of the weight's
// gradient.
extern "C" __global__ void __launch_bounds__(lettergpu::THREADS, 1)
dense_backward(const float* delta, const float* x, const float* weight, const float* slope, float* weight_gradient,
               float* bias_gradient, float* input_gradient, float* put_down, unsigned* done, long long x_apart,
               int rows, int fan_in, int fan_out, int weight_shares, int input_shares, bool add) {
    using namespace lettergpu;
    typedef Tile<ROWS, OUT, true> D;  // of delta, and of the weight: the factors of x's gradient
    typedef Tile<COLUMNS, OUT, true> W;
    typedef Tile<ROWS, IN, false> A;  // of x, and of delta: those of the weight's
    typedef Tile<COLUMNS, OUT, false> B;
    alignas(16) __shared__ float room[ROOM<D, W> > ROOM<A, B> ? ROOM<D, W> : ROOM<A, B>];
    __shared__ bool last;
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
    float sum[EACH] = {}, of_column = 0;
    if (of_input) {
        const Factor left = {delta + outputs, fan_out, rows}, right = {weight + weights, fan_out, fan_in};
        add_up<D, W>(left, right, row, column, fan_out, share, shares, room, sum, NoSums());
        if (!last_share(sum, of_column, put_down, done, share, shares, last)) return;
        const long long inputs = member * rows * fan_in;
        each_few<D, W, IN>(row, column, rows, fan_in, [&](auto count, int place, int, int i) {
            constexpr int N = decltype(count)::value;
            if (slope)
                for (int n = 0; n < N; n++) sum[i + n] *= slope[inputs + place + n];
            put_few<N>(input_gradient + inputs + place, sum + i);
        });
        return;
    }
    const bool sums_columns = bias_gradient && row == 0;
    const Factor left = {x + member * x_apart, fan_in, fan_in}, right = {delta + outputs, fan_out, fan_out};
    Few<OUT> sums = {};
    add_up<A, B>(left, right, row, column, rows, share, shares, room, sum, ColumnSums<OUT>{sums, sums_columns});
    if (sums_columns) {  // what each thread has of its columns, by way of shared memory, to one thread a column
        float(*parts)[COLUMNS] = (float(*)[COLUMNS])room;
        constexpr int PARTS = THREADS * OUT / COLUMNS;
        static_assert(PARTS * COLUMNS <= ROOM<A, B>);
        __syncthreads();
        *(Few<OUT>*)&parts[threadIdx.x / (COLUMNS / OUT)][threadIdx.x % (COLUMNS / OUT) * OUT] = sums;
        __syncthreads();
        if (threadIdx.x < COLUMNS)
            for (int part = 0; part < PARTS; part++) of_column += parts[part][threadIdx.x];
    }
    if (!last_share(sum, of_column, put_down, done, share, shares, last)) return;
    each_few<A, B, OUT>(row, column, fan_in, fan_out, [&](auto count, int place, int, int i) {
        put_few<decltype(count)::value>(weight_gradient + weights + place, sum + i, add);
    });
    const int y = column + threadIdx.x;
    if (sums_columns && threadIdx.x < COLUMNS && y < fan_out) {
        float& total = bias_gradient[member * fan_out + y];
        total = add ? total + of_column : of_column;
    }
}
