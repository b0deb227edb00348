/* See refine_hooks/masks/regions.py. */
#include "arrays.h"

static int64_t root_of(int64_t *parent, int64_t i) {
    while (parent[i] != i)
        i = parent[i] = parent[parent[i]];
    return i;
}

/* One tree of the two that hold voxels i and j; a root is the first of its voxels. */
static void join(int64_t *parent, int64_t i, int64_t j) {
    i = root_of(parent, i), j = root_of(parent, j);
    parent[most(i, j)] = least(i, j);
}

/* The number of the component that each voxel is in, in the order of their first voxels; 0 for none. Where `corners`, edges and
   corners connect as faces do. */
void connected(bool_array voxels, int64_t corners, int64_array labels) {
    static const int before[][2] = {{0, -1}, {-1, 0}, {-1, -1}, {-1, 1}}; /* rows in z and y that are numbered already */
    int64_t *shape = voxels.shape, *number = labels.at, at = 0, count = 0;
    for (int64_t z = 0; z < shape[0]; z++)
        for (int64_t y = 0; y < shape[1]; y++, at += shape[2]) {
            const uint8_t *row = ROW2(voxels, z, y);
            for (int64_t x = 0; x < shape[2]; x++)
                number[at + x] = !row[x] ? -1 : x && row[x - 1] ? number[at + x - 1] : at + x;
            for (int i = 0; i < (corners ? 4 : 2); i++) {
                int64_t oz = z + before[i][0], oy = y + before[i][1];
                if (oz < 0 || oy < 0 || oy == shape[1])
                    continue;
                const uint8_t *other = ROW2(voxels, oz, oy);
                int64_t there = (oz * shape[1] + oy) * shape[2];
                for (int64_t x = 0; x < shape[2]; x++)
                    for (int64_t ox = most(0, x - corners); row[x] && ox <= least(shape[2] - 1, x + corners); ox++)
                        if (other[ox] && !(x && ox && row[x - 1] && other[ox - 1])) /* those have joined the two already */
                            join(number, at + x, there + ox);
            }
        }
    for (int64_t i = 0; i < at; i++) /* a parent comes before its children, and has its number */
        number[i] = number[i] < 0 ? 0 : number[i] == i ? ++count : number[number[i]];
}

/* Visit each voxel's neighbours `j` across faces, edges and corners, in turns from the first voxel and from the last, until
   nothing changes. */
#define SWEEP_UNTIL_STILL(shape, ...)                                                                                             \
    for (int64_t size = (shape)[0] * (shape)[1] * (shape)[2], turn = 0, changed = 1; changed; turn++) {                           \
        changed = 0;                                                                                                              \
        for (int64_t n = 0; n < size; n++) {                                                                                      \
            int64_t i = turn % 2 ? size - 1 - n : n;                                                                              \
            int64_t x = i % (shape)[2], y = i / (shape)[2] % (shape)[1], z = i / (shape)[2] / (shape)[1];                         \
            for (int64_t jz = most(0, z - 1); jz <= least((shape)[0] - 1, z + 1); jz++)                                           \
                for (int64_t jy = most(0, y - 1); jy <= least((shape)[1] - 1, y + 1); jy++)                                       \
                    for (int64_t jx = most(0, x - 1); jx <= least((shape)[2] - 1, x + 1); jx++) {                                 \
                        int64_t j = (jz * (shape)[1] + jy) * (shape)[2] + jx;                                                     \
                        __VA_ARGS__                                                                                               \
                    }                                                                                                             \
        }                                                                                                                         \
    }

/* Raise `low`, which is nowhere above `high`, to its reconstruction by dilation below it. */
void reconstructed(double_array high, double_array low) {
    SWEEP_UNTIL_STILL(high.shape, {
        double raised = low.at[j] < high.at[i] ? low.at[j] : high.at[i];
        if (raised > low.at[i])
            low.at[i] = raised, changed = 1;
    })
}

/* Leave of `maxima`, all 1 before, the plateaus that no neighbour is higher than. */
void regional_maxima(double_array height, bool_array maxima) {
    SWEEP_UNTIL_STILL(height.shape, {
        if (maxima.at[i] && (height.at[j] > height.at[i] || (height.at[j] == height.at[i] && !maxima.at[j])))
            maxima.at[i] = 0, changed = 1;
    })
}

typedef struct { const double *level; const int64_t *age; int64_t *voxels, count; } queue;

static int earlier(queue q, int64_t i, int64_t j) {
    return q.level[i] < q.level[j] || (q.level[i] == q.level[j] && q.age[i] < q.age[j]);
}

static void put(queue *q, int64_t voxel) {
    int64_t place = q->count++;
    for (; place && earlier(*q, voxel, q->voxels[(place - 1) / 2]); place = (place - 1) / 2)
        q->voxels[place] = q->voxels[(place - 1) / 2];
    q->voxels[place] = voxel;
}

static int64_t take(queue *q) {
    int64_t first = q->voxels[0], last = q->voxels[--q->count], place = 0;
    for (int64_t next; (next = 2 * place + 1) < q->count; place = next) {
        next += next + 1 < q->count && earlier(*q, q->voxels[next + 1], q->voxels[next]);
        if (!earlier(*q, q->voxels[next], last))
            break;
        q->voxels[place] = q->voxels[next];
    }
    q->voxels[place] = last;
    return first;
}

/* Flood the voxels of `inside` across faces from those that `parts` numbers, the lowest level first, of equal ones the one that was
   reached first. `age` and `waiting` have room for all voxels. */
void flooded(double_array level, bool_array inside, int64_array parts, int64_array age, int64_array waiting) {
    int64_t *shape = level.shape, step[] = {shape[1] * shape[2], shape[2], 1}, now = 0;
    queue q = {level.at, age.at, waiting.at, 0};
    for (int64_t i = 0; i < shape[0] * step[0]; i++)
        if (parts.at[i])
            age.at[i] = now++, put(&q, i);
    while (q.count) {
        int64_t i = take(&q);
        for (int side = 0; side < 6; side++) {
            int axis = side < 3 ? side : 5 - side, by = side < 3 ? -1 : 1;
            int64_t along = i / step[axis] % shape[axis] + by, j = i + by * step[axis];
            if (along < 0 || along == shape[axis] || !inside.at[j] || parts.at[j])
                continue;
            parts.at[j] = parts.at[i];
            age.at[j] = now++, put(&q, j);
        }
    }
}
