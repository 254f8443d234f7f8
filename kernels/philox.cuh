// Random numbers that follow from a counter and a key alone, and permutations by them (draws.py): Philox-4x32-10 of Salmon, Moraes, Dror, Shaw
// 2011, "Parallel random numbers: as easy as 1, 2, 3". Integers, so that every processor has the same bits.

#include "activations.cuh"

namespace lettergpu {

struct Words { unsigned int w[4]; };

LETTERGPU_FN Words philox(unsigned int c0, unsigned int c1, unsigned int c2, unsigned int c3, unsigned int k0,
                          unsigned int k1) {
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        const unsigned long long left = 0xD2511F53ull * c0, right = 0xCD9E8D57ull * c2;
        c0 = (unsigned int)(right >> 32) ^ c1 ^ k0;
        c2 = (unsigned int)(left >> 32) ^ c3 ^ k1;
        c1 = (unsigned int)right;
        c3 = (unsigned int)left;
    }
    return {{c0, c1, c2, c3}};
}

// Where a number below `count` comes to lie among them, by a Feistel network over pairs below (a, b), whose rounds add
// to one half what stands for the other in tables (longer side, rounds)
template <typename Tables>
LETTERGPU_FN long long permuted(long long place, const Tables& tables, int rounds, long long a, long long b,
                                long long count) {
    do {
        long long left = place / b, right = place - left * b;
        for (int i = 0; i < rounds; i++) {
            long long& half = i % 2 ? right : left;
            const long long side = i % 2 ? b : a, sum = half + tables[(i % 2 ? left : right) * rounds + i];
            half = sum >= side ? sum - side : sum;
        }
        place = left * b + right;
    } while (place >= count);
    return place;
}

// The upper 24 bits of a word as a number from 0 to below 1
LETTERGPU_FN float uniform(unsigned int word) { return float(word >> 8) * 5.9604644775390625e-08f; }

}  // namespace lettergpu
