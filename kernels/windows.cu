// The rows of several arrays that belong to the batch whose number is reached (batches.py), copied in one launch: word i
// of one is word `number * size + before + i` of where it comes from.

namespace lettergpu {

struct Window {
    const void* from;
    void* to;
    long long words, size, before;  // of 4 bytes
};

}  // namespace lettergpu

// Grid: enough threads for the words of all. A window of no words may be nowhere.
extern "C" __global__ void windows(const long long* number, const void* from_a, void* to_a, long long words_a,
                                   long long size_a, long long before_a, const void* from_b, void* to_b,
                                   long long words_b, long long size_b, long long before_b, const void* from_c,
                                   void* to_c, long long words_c, long long size_c, long long before_c,
                                   const void* from_d, void* to_d, long long words_d, long long size_d,
                                   long long before_d) {
    const lettergpu::Window all[] = {{from_a, to_a, words_a, size_a, before_a},
                                     {from_b, to_b, words_b, size_b, before_b},
                                     {from_c, to_c, words_c, size_c, before_c},
                                     {from_d, to_d, words_d, size_d, before_d}};
    long long i = (long long)(blockIdx.x) * blockDim.x + threadIdx.x;
    for (const lettergpu::Window& window : all) {
        if (i < window.words) {
            ((unsigned*)window.to)[i] = ((const unsigned*)window.from)[*number * window.size + window.before + i];
            return;
        }
        i -= window.words;
    }
}
