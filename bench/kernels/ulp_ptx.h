// What each PTX instruction that ptx.py may meet does: a C++ function named like it, with _ for its dots, after
// NVIDIA's PTX ISA. With .ftz an operand or a result that is subnormal becomes a 0 of its sign; whether that is already
// done is in its type. A predicate is a mask of all bits or none, since a loop over code without any branch is one that
// compilers vectorize. Only with -ffp-contract=off.
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>

template <typename To, typename From> static inline To bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "a bit pattern keeps its size");
    To to;
    std::memcpy(&to, &from, sizeof(to));
    return to;
}
static inline uint32_t mask(bool condition) { return -uint32_t(condition); }
static inline float select(uint32_t mask, float a, float b) {
    return bits<float>((bits<uint32_t>(a) & mask) | (bits<uint32_t>(b) & ~mask));
}

struct Flushed {
    float value;
    operator float() const { return value; }
};
static inline Flushed flush(Flushed x) { return x; }
static inline Flushed flush(float x) {
    const uint32_t pattern = bits<uint32_t>(x);
    return {bits<float>(pattern & (mask((pattern & 0x7f800000u) != 0) | 0x80000000u))};
}

static inline float mov_f32(float a) { return a; }
static inline Flushed mov_f32(Flushed a) { return a; }
static inline float selp_f32(float a, float b, uint32_t p) { return select(p, a, b); }
static inline Flushed selp_f32(Flushed a, Flushed b, uint32_t p) { return {select(p, a, b)}; }
static inline uint32_t add_s32(uint32_t a, uint32_t b) { return a + b; }
static inline uint32_t shl_b32(uint32_t a, uint32_t b) { return b < 32 ? a << b : 0; }

#define OPERATION(name, result)                                                              \
    template <typename A, typename B = float, typename C = float>                            \
    static inline Flushed name##_ftz_f32(A a_, B b_ = 0, C c_ = 0) {                         \
        [[maybe_unused]] const float a = flush(a_), b = flush(b_), c = flush(c_);            \
        return flush(result);                                                                \
    }
OPERATION(abs, std::fabs(a))
OPERATION(neg, -a)
OPERATION(add, a + b)
OPERATION(sub, a - b)
OPERATION(mul, a * b)
OPERATION(mul_rn, a * b)
OPERATION(div_rn, a / b)
OPERATION(rcp_rn, 1 / a)
OPERATION(fma_rn, std::fma(a, b, c))

#define COMPARISON(name, result)                                                             \
    template <typename A, typename B> static inline uint32_t setp_##name##_ftz_f32(A a_, B b_) { \
        const float a = flush(a_), b = flush(b_);                                            \
        return mask(result);                                                                 \
    }
COMPARISON(eq, a == b)
COMPARISON(lt, a < b)
COMPARISON(le, a <= b)
COMPARISON(gt, a > b)
COMPARISON(ge, a >= b)
COMPARISON(neu, !(a == b))  // u: or unordered, when one is a NaN
COMPARISON(ltu, !(a >= b))
COMPARISON(leu, !(a > b))
COMPARISON(gtu, !(a <= b))
COMPARISON(geu, !(a < b))
