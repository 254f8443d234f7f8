// A pixel of a batch (pixels.py): a byte of an image made a number in [0, 1], or, where the image is moved by a map
// (2, 3 + n n), the bytes around (y, x) = map[:, :3] (row, column, 1) + map[:, 3:] (waves[row] x waves[column]), weighed
// bilinearly. Outside the image everything is 0.

#include "activations.cuh"

namespace lettergpu {

LETTERGPU_FN float floor_(float x) { return floorf(x); }
LETTERGPU_FN double floor_(double x) { return floor(x); }

template <typename C> struct Corners { C a, b, c, d; };  // of a square of four pixels: a b above c d

// The bytes of an image, dark outside. Images: anything that is indexed by a number, so that strides are its business.
template <int height, int width, typename C, typename Images>
struct Bytes {
    const Images& images;
    long long first;
    LETTERGPU_FN C at(int row, int column) const {
        const bool inside = 0 <= row && row < height && 0 <= column && column < width;
        return inside ? C(images[first + row * width + column]) : C(0);
    }
    LETTERGPU_FN Corners<C> corners(int row, int column) const {
        return {at(row, column), at(row, column + 1), at(row + 1, column), at(row + 1, column + 1)};
    }
};

// The image at (y, x), in pixels from the centre of the top left one. Image: what has corners(row, column)
template <int height, int width, typename C, typename Image>
LETTERGPU_FN C bilinear(const Image& image, C y, C x) {
    y = at_least(at_most(y, C(height)), C(-1));  // a pixel outside is as dark as a hundred
    x = at_least(at_most(x, C(width)), C(-1));
    const C top = at_most(floor_(y), C(height - 1)), left = at_most(floor_(x), C(width - 1));
    const Corners<C> at = image.corners(int(top), int(left));
    const C upper = fma_(x - left, at.b - at.a, at.a), lower = fma_(x - left, at.d - at.c, at.c);
    return fma_(y - top, lower - upper, upper);
}

// A row of a map at a pixel: the coordinate that it comes from
template <typename C, typename Maps, typename Waves>
LETTERGPU_FN C coordinate(const Maps& maps, long long m, const Waves& waves, int n, int row, int column) {
    C sum = fma_(C(maps[m]), C(row), fma_(C(maps[m + 1]), C(column), C(maps[m + 2])));
    for (int i = 0; i < n; i++) {
        C along = 0;
        for (int j = 0; j < n; j++) along = fma_(C(maps[m + 3 + i * n + j]), C(waves[column * n + j]), along);
        sum = fma_(C(waves[row * n + i]), along, sum);
    }
    return sum;
}

// Pixel i of the batch; only the first `maps_given` images have a map
template <int height, int width, typename C, typename Images, typename Rows, typename Maps, typename Waves>
LETTERGPU_FN C assembled(const Images& images, const Rows& rows, const Maps& maps, long long maps_given,
                         const Waves& waves, int n, long long i) {
    const long long place = i / (height * width), first = rows[place] * (height * width);
    const int pixel = int(i - place * (height * width));
    if (place >= maps_given) return C(images[first + pixel]) / C(255);
    const Bytes<height, width, C, Images> image = {images, first};
    const int row = pixel / width, column = pixel % width, length = 3 + n * n;
    const C y = coordinate<C>(maps, 2 * place * length, waves, n, row, column);
    const C x = coordinate<C>(maps, (2 * place + 1) * length, waves, n, row, column);
    return bilinear<height, width>(image, y, x) / C(255);
}

}  // namespace lettergpu
