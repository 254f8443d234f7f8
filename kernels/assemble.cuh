// A pixel of a batch (batches.py): a byte of an image made a number in [0, 1], or, where the image is moved by the
// map (2, 3), the bytes around (y, x) = map (row, column, 1), weighed bilinearly. Outside the image everything is 0.

#include "activations.cuh"

namespace lettergpu {

LETTERGPU_FN float floor_(float x) { return floorf(x); }
LETTERGPU_FN double floor_(double x) { return floor(x); }

// Image: anything that is indexed by a number, so that strides are the array's own business
template <int height, int width, typename C, typename Image>
LETTERGPU_FN C byte_at(const Image& images, long long first, int row, int column) {
    const bool inside = 0 <= row && row < height && 0 <= column && column < width;
    return inside ? C(images[first + row * width + column]) : C(0);
}

template <int height, int width, typename C, typename Image>
LETTERGPU_FN C bilinear(const Image& images, long long first, C y, C x) {
    y = at_least(at_most(y, C(height)), C(-1));  // a pixel outside is as dark as a hundred
    x = at_least(at_most(x, C(width)), C(-1));
    const C top = floor_(y), left = floor_(x);
    const int row = int(top), column = int(left);
    const C a = byte_at<height, width, C>(images, first, row, column);
    const C b = byte_at<height, width, C>(images, first, row, column + 1);
    const C c = byte_at<height, width, C>(images, first, row + 1, column);
    const C d = byte_at<height, width, C>(images, first, row + 1, column + 1);
    const C upper = fma_(x - left, b - a, a), lower = fma_(x - left, d - c, c);
    return fma_(y - top, lower - upper, upper);
}

// Pixel i of the batch; only the first `moved` images have a map
template <int height, int width, typename C, typename Image, typename Rows, typename Maps>
LETTERGPU_FN C assembled(const Image& images, const Rows& rows, const Maps& maps, long long moved, long long i) {
    const long long place = i / (height * width), first = rows[place] * (height * width);
    const int pixel = int(i - place * (height * width));
    if (place >= moved) return C(images[first + pixel]) / C(255);
    const C row = C(pixel / width), column = C(pixel % width);
    const long long m = 6 * place;
    const C y = fma_(C(maps[m]), row, fma_(C(maps[m + 1]), column, C(maps[m + 2])));
    const C x = fma_(C(maps[m + 3]), row, fma_(C(maps[m + 4]), column, C(maps[m + 5])));
    return bilinear<height, width>(images, first, y, x) / C(255);
}

}  // namespace lettergpu
