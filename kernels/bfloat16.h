// Products of matrices whose factors are rounded to bfloat16, for host.cpp: by the tile registers of processors that
// have AMX, under Linux. A tile is 16 rows of 16 pairs of factors, or of 16 sums, which are float32.
//
// TDPBF16PS multiplies rows by columns: each pair is of two neighbours along the inner dimension, and those of a row of
// a, or of a column of b, lie along a row of a's tile, or a column of b's. So both are packed as such tiles, rounded to
// the nearest, ties to even. What lies beyond a matrix is 0; so is a factor below 1.2e-38. Pixels that are 0 are
// multiplied as others are: in all of 32 rows a fifth of the columns are, 4 % of whole tiles.

#if defined(__AMX_BF16__) && defined(__AVX512BF16__) && defined(__AVX512BW__) && defined(__linux__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SPAN = 16, DEEP = 32, BLOCK = 32 };  // a tile's rows, factors in each; rows and columns of sums made at once

struct alignas(64) Tile { __m512i rows[SPAN]; };

// While one of these lives, its thread may use the tile registers, all of 16 rows of 64 bytes.
struct Tiles {
    struct alignas(64) Shapes {
        uint8_t palette = 1, start = 0, unused[14] = {};
        uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
        uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    };
    Tiles() {
        static const Shapes shapes;
        _tile_loadconfig(&shapes);
    }
    ~Tiles() { _tile_release(); }
};

// Linux wants to be asked once a process: what it keeps of a thread that uses tiles is 8 KiB larger.
static bool may_round() {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
}

// Rows become columns: blocks of `step` by `step` right of the diagonal change places with those left of it, and so on
template <int step = SPAN / 2>
static inline __attribute__((always_inline)) void transpose(__m512i (&rows)[SPAN]) {
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __mmask16 right = step == 8 ? 0xff00 : step == 4 ? 0xf0f0 : step == 2 ? 0xcccc : 0xaaaa;
    // from 16 on they are the lower row's
    const __m512i upper = _mm512_mask_add_epi32(lane, right, lane, _mm512_set1_epi32(16 - step));
    const __m512i lower = _mm512_add_epi32(upper, _mm512_set1_epi32(step));
    for (int i = 0; i < SPAN; i++)
        if (!(i & step)) {
            const __m512i above = rows[i], below = rows[i + step];
            rows[i] = _mm512_permutex2var_epi32(above, upper, below);
            rows[i + step] = _mm512_permutex2var_epi32(above, lower, below);
        }
    if constexpr (step > 1) transpose<step / 2>(rows);
}

// As many of 16 numbers as there are, and zeros
static inline __m512 some(const float* p, Index count) {
    return _mm512_maskz_loadu_ps(count >= 16 ? 0xffff : count <= 0 ? 0 : (1 << count) - 1, p);
}

static inline __m512i rounded(__m512 first, __m512 second) { return (__m512i)_mm512_cvtne2ps_pbh(second, first); }

// tile <- the numbers from[k * inner + i * outer], k < depth, i < count, one of these steps being 1; those of each i as
// a row, or as a column
template <bool as_row>
static inline void pack_tile(const float* from, Index inner, Index outer, Index depth, Index count, Tile* tile) {
    __m512i rows[SPAN] = {};
    if (inner == 1) {
        for (Index i = 0; i < std::min<Index>(SPAN, count); i++)
            rows[i] = rounded(some(from + i * outer, depth), some(from + i * outer + 16, depth - 16));
    } else {
        alignas(64) static const uint16_t pairs[DEEP] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                         8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
        for (Index k = 0; k < std::min<Index>(DEEP, depth); k += 2) {
            const __m512 first = some(from + k * inner, count);
            const __m512 second = some(from + (k + 1) * inner, k + 1 < depth ? count : 0);
            rows[k / 2] = _mm512_permutexvar_epi16(_mm512_load_si512(pairs), rounded(first, second));
        }
    }
    if (as_row != (inner == 1)) transpose(rows);
    for (int i = 0; i < SPAN; i++) tile->rows[i] = rows[i];
}

// tiles <- of BLOCK such rows or columns, two tiles for each piece of the inner dimension
template <bool as_rows>
static void pack_tiles(const float* from, Index inner, Index outer, Index depth, Index count, Tile* tiles) {
    for (Index k = 0; k < depth; k += DEEP)
        for (Index i = 0; i < BLOCK; i += SPAN)
            pack_tile<as_rows>(from + k * inner + i * outer, inner, outer, depth - k, count - i, tiles++);
}

// sums (BLOCK x BLOCK, in rows of WIDTH) <- the product of what was packed of a and of b
static inline void multiply_tiles(const Tile* a, const Tile* b, Index depth, float* sums) {
    asm volatile("" ::: "memory");  // the compiler does not know that the next ones read it
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (Index k = 0; k < depth; k += DEEP, a += 2, b += 2) {
        _tile_loadd(4, a, 64);
        _tile_loadd(5, a + 1, 64);
        _tile_loadd(6, b, 64);
        _tile_loadd(7, b + 1, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, sums, WIDTH * 4);
    _tile_stored(1, sums + SPAN, WIDTH * 4);
    _tile_stored(2, sums + SPAN * WIDTH, WIDTH * 4);
    _tile_stored(3, sums + SPAN * WIDTH + SPAN, WIDTH * 4);
}

// As `product`, with rounded factors: b is packed by all threads, then each packs BLOCK rows of a at a time
template <typename Finish>
static void rounded_product(Matrix a, Matrix b, float* c, bool add, Index M, Index N, Index K, Finish finish) {
    const Index panel = (std::min<Index>(DEPTH, K) + DEEP - 1) / DEEP * 2;  // tiles of BLOCK columns
    const Index share = M * N * K > 1000000 ? Index(BLOCK) : M + N + BLOCK;
    static thread_local std::vector<Tile> all_columns;
    all_columns.resize(std::max<size_t>(all_columns.size(), (N + BLOCK - 1) / BLOCK * panel));
    Tile* const columns = all_columns.data();
    for (Index k = 0; k == 0 || k < K; k += DEPTH) {
        const Index depth = std::min<Index>(DEPTH, K - k);
        in_parts(N, share, [=](Index n, Index end) {
            for (; n < end; n += BLOCK)
                pack_tiles<false>(b.data + k * b.row + n * b.column, b.row, b.column, depth, N - n,
                                  columns + n / BLOCK * panel);
        });
        in_parts(M, share, [=](Index first, Index end) {
            const Flushing flushing;
            const Tiles tiles;
            Tile* const rows = (Tile*)scratch(panel * sizeof(Tile) / 4);
            alignas(64) float sums[BLOCK * WIDTH];
            for (Index m = first; m < end; m += BLOCK) {
                pack_tiles<true>(a.data + m * a.row + k * a.column, a.column, a.row, depth, M - m, rows);
                for (Index n = 0; n < N; n += WIDTH) {
                    for (Index j = 0; j < WIDTH && n + j < N; j += BLOCK)
                        multiply_tiles(rows, columns + (n + j) / BLOCK * panel, depth, sums + j);
                    const int width = int(std::min<Index>(WIDTH, N - n));
                    for (Index i = 0; i < BLOCK && m + i < M; i += ROWS)
                        complete(c, N, m + i, int(std::min({Index(ROWS), Index(BLOCK) - i, M - m - i})), n, width,
                                 sums + i * WIDTH, k || add, k + DEPTH < K, finish);
                }
            }
        });
    }
}
#else
static bool may_round() { return false; }

template <typename Finish>
static void rounded_product(Matrix, Matrix, float*, bool, Index, Index, Index, Finish) {}
#endif
