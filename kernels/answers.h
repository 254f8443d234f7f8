// From bytes to probabilities in one call, for host.cpp: of one image the operations take less time than Python needs
// to call them one after another. They are the same functions, so the bits are the same.

// map <- that of `moved` by which a letter comes to the place, slant and size that all have, as nn/warps.py has it
static void moment_frame(const uint8_t* image, float steepest, float size, float* map) {
    const float middle = (SIDE - 1) / 2.0f;
    int of_row[SIDE] = {}, of_column[SIDE] = {}, along[SIDE] = {}, mass = 0, y = 0, x = 0;  // y, x, along: doubled
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++) {
            const int ink = image[row * SIDE + column];
            of_row[row] += ink, of_column[column] += ink, along[row] += ink * (2 * column - (SIDE - 1));
        }
    for (int i = 0; i < SIDE; i++)
        mass += of_row[i], y += of_row[i] * (2 * i - (SIDE - 1)), x += of_column[i] * (2 * i - (SIDE - 1));
    const float total = float(std::max(mass, 1)), down = 0.5f * float(y) / total, right = 0.5f * float(x) / total;
    float tall = 0.0f, wide = 0.0f, together = 0.0f;
    for (int i = 0; i < SIDE; i++) {
        const float from_top = float(i) - middle - down, from_left = float(i) - middle - right;
        tall += float(of_row[i]) * (from_top * from_top);
        wide += float(of_column[i]) * (from_left * from_left);
        together += 0.5f * float(along[i]) * from_top;
    }
    tall = std::max(tall / total, 1.0f), together /= total;
    const float slant = std::min(std::max(together / tall, -steepest), steepest);
    wide = std::max(wide / total - slant * together, 1.0f);
    const float scale = std::min(std::max(std::sqrt(wide + tall) / size, 0.6f), 1.5f);
    const float narrow = std::min(std::max(std::sqrt(wide / tall), 1.0f / 3.0f), 3.0f);
    const float aspect = std::sqrt(std::sqrt(narrow)), across = scale * aspect, upwards = scale / aspect;
    map[0] = upwards, map[1] = 0.0f, map[2] = middle - upwards * middle + down;
    map[3] = slant * upwards, map[4] = across, map[5] = middle - (map[3] * middle + across * middle) + right;
}

extern "C" {

// maps: (count, 2, 3)
void moment_frames(const uint8_t* images, float steepest, float size, Index count, float* maps) {
    in_parts(count, 64, [=](Index i, Index end) {
        for (; i < end; i++) moment_frame(images + i * (SIDE * SIDE), steepest, size, maps + 6 * i);
    });
}

// probabilities <- softmax(logits), in each row
void softmax(const float* logits, float* probabilities, Index rows, Index classes) {
    in_parts(rows, 64, [=](Index row, Index end) {
        for (; row < end; row++) {
            const float* const z = logits + row * classes;
            const float* const e = exponentials(z, classes, highest_of(z, classes, z[0]));
            float total = 0.0f;
            for (Index c = 0; c < classes; c++) total += e[c];
            for (Index c = 0; c < classes; c++) probabilities[row * classes + c] = e[c] / total;
        }
    });
}

// probabilities <- softmax of what plain layers make of images. parameters: all weights, layer by layer, then all
// biases. sizes: (layers + 1). size: 0, or that of `moment_frames`, by which images are then moved
void probabilities(const uint8_t* images, const float* parameters, const Index* sizes, Index layers, int activation,
                   float leak, float steepest, float size, Index count, float* probabilities) {
    enum { AT_ONCE = 64 * ROWS };  // few enough for what they become to stay in the cache
    static thread_local std::vector<float> held;
    const Index inputs = sizes[0], classes = sizes[layers], widest = *std::max_element(sizes, sizes + layers);
    const float* biases = parameters;
    for (Index i = 0; i < layers; i++) biases += sizes[i] * sizes[i + 1];
    held.resize(2 * std::min<Index>(count, AT_ONCE) * widest);
    for (Index first = 0; first < count; first += AT_ONCE) {
        const Index rows = std::min<Index>(AT_ONCE, count - first);
        float *x = held.data(), *value = x + rows * widest, *const end = probabilities + first * classes;
        in_parts(rows, 8, [=](Index i, Index last) {
            for (; i < last; i++) {
                const uint8_t* image = images + (first + i) * inputs;
                float map[6];
                if (size > 0.0f) {
                    moment_frame(image, steepest, size, map);
                    pixels_of(image, map, nullptr, 0, x + i * inputs);
                } else {
                    to_floats(image, inputs, x + i * inputs);
                }
            }
        });
        const float *weight = parameters, *bias = biases;
        for (Index i = 0; i < layers; weight += sizes[i] * sizes[i + 1], bias += sizes[i + 1], i++) {
            const bool last = i + 1 == layers;
            dense(x, weight, bias, last ? end : value, nullptr, rows, sizes[i], sizes[i + 1],
                  last ? int(IDENTITY) : activation, leak);
            std::swap(x, value);
        }
        softmax(end, end, rows, classes);
    }
}

}  // extern "C"
