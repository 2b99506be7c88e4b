// group_sums on a CUDA device. Integer atomics only: additions modulo 2^64 commute, so the order in which
// threads arrive changes nothing. Rows are streamed through fixed device buffers in chunks.
extern "C" {
#include "gpu/group_sums.h"
}

#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace
{

typedef unsigned long long word; // what 64-bit atomics take

constexpr uint32_t THREADS = 512;
constexpr uint64_t CHUNK_ROWS = 1u << 22; // a multiple of 64: validity words never straddle chunks
// Shared memory of one block: three 32-bit planes of SLOTS words are the 48 KiB every device gives without
// asking.
constexpr uint32_t SLOTS = 4096;
constexpr uint32_t REPLICAS_MAX = 32;
constexpr uint32_t AHEAD = 4;

struct cell {
    word sum;
    word count;
};

struct pass {
    cell *cells;
    const uint32_t *groups;
    const int64_t *values;
    const uint64_t *valid; // NULL: every row is valid
    uint64_t row_count;
    uint32_t group_count;
    uint32_t replicas; // a power of two, 1..32
    int64_t lower, upper;
};

__device__ bool kept(const pass &p, uint64_t row, uint32_t group)
{
    if (group >= p.group_count) return false;
    return p.valid == NULL || (p.valid[row / 64] >> (row % 64) & 1) != 0;
}

__device__ int64_t clip(const pass &p, int64_t value)
{
    int64_t raised = value < p.lower ? p.lower : value;
    return raised > p.upper ? p.upper : raised;
}

// A thread asks for several rows before it touches the first: one at a time can't keep the memory busy. Past
// the last row the group lies outside every domain, so `kept` refuses it.
__device__ void load_ahead(const pass &p, uint32_t *group, int64_t *value, uint64_t row, uint64_t step)
{
#pragma unroll
    for (uint32_t i = 0; i < AHEAD; i++) {
        bool inside = row + i * step < p.row_count;
        group[i] = inside ? p.groups[row + i * step] : UINT32_MAX;
        value[i] = inside ? p.values[row + i * step] : 0;
    }
}

// Shared memory adds 32-bit words natively and 64-bit words only by compare-and-swap, so a sum is two words:
// whoever makes the low word wrap carries into the high one. Exact in any order, since each wrap is seen by
// exactly one adder.
__device__ void add_split(uint32_t *low, uint32_t *high, int64_t value)
{
    uint32_t value_low = (uint32_t)value;
    uint32_t before = atomicAdd(low, value_low);
    uint32_t value_high = (uint32_t)((uint64_t)value >> 32) + (before > UINT32_MAX - value_low ? 1 : 0);
    if (value_high != 0) atomicAdd(high, value_high);
}

// Few groups: each block sums in shared memory. Neighbouring lanes have their own replica of each group (as
// many as fit), so a hot group doesn't serialise a warp, and lane i's replica lies in bank i.
__global__ void sum_shared(pass p)
{
    extern __shared__ uint32_t planes[];
    uint32_t slots = p.group_count * p.replicas;
    uint32_t *low = planes, *high = planes + slots, *count = planes + 2 * slots;
    for (uint32_t i = threadIdx.x; i < 3 * slots; i += blockDim.x) planes[i] = 0;
    __syncthreads();
    uint64_t step = (uint64_t)gridDim.x * blockDim.x;
    for (uint64_t row = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x; row < p.row_count;
         row += AHEAD * step) {
        uint32_t group[AHEAD];
        int64_t value[AHEAD];
        load_ahead(p, group, value, row, step);
#pragma unroll
        for (uint32_t i = 0; i < AHEAD; i++) {
            if (!kept(p, row + i * step, group[i])) continue;
            uint32_t slot = group[i] * p.replicas + (threadIdx.x & (p.replicas - 1));
            add_split(&low[slot], &high[slot], clip(p, value[i]));
            atomicAdd(&count[slot], 1u);
        }
    }
    __syncthreads();
    for (uint32_t group = threadIdx.x; group < p.group_count; group += blockDim.x) {
        word sum = 0, values = 0;
        for (uint32_t r = 0; r < p.replicas; r++) {
            uint32_t slot = group * p.replicas + r;
            sum += (word)high[slot] << 32 | low[slot];
            values += count[slot];
        }
        if (values == 0) continue;
        atomicAdd(&p.cells[group].sum, sum);
        atomicAdd(&p.cells[group].count, values);
    }
}

// Many groups: straight into device memory.
__global__ void sum_global(pass p)
{
    uint64_t step = (uint64_t)gridDim.x * blockDim.x;
    for (uint64_t row = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x; row < p.row_count;
         row += AHEAD * step) {
        uint32_t group[AHEAD];
        int64_t value[AHEAD];
        load_ahead(p, group, value, row, step);
#pragma unroll
        for (uint32_t i = 0; i < AHEAD; i++) {
            if (!kept(p, row + i * step, group[i])) continue;
            atomicAdd(&p.cells[group[i]].sum, (word)clip(p, value[i]));
            atomicAdd(&p.cells[group[i]].count, (word)1);
        }
    }
}

// Rows for the timing: cheap, spread over all groups, some of them clipped.
__global__ void fill_rows(uint32_t *groups, int64_t *values, uint64_t row_count, uint32_t group_count)
{
    uint64_t step = (uint64_t)gridDim.x * blockDim.x;
    for (uint64_t row = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x; row < row_count; row += step) {
        uint64_t z = (row + 1) * 0x9e3779b97f4a7c15ull;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
        z ^= z >> 31;
        groups[row] = (uint32_t)((z >> 32) % group_count);
        values[row] = (int64_t)(z & 0xfff) - 2048;
    }
}

uint32_t replicas_for(uint32_t group_count)
{
    uint32_t replicas = REPLICAS_MAX;
    while (replicas > 1 && group_count * replicas > SLOTS) replicas /= 2;
    return replicas;
}

void words(char *why, size_t why_len, cudaError_t error)
{
    (void)snprintf(why, why_len, "%s", cudaGetErrorString(error));
}

} // namespace

struct group_sums_cuda {
    uint32_t *groups;
    int64_t *values;
    uint64_t *valid;
    cell *cells;
    cell *host_cells;
    size_t cell_count; // capacity of both
    int processors;
    char why[256];
};

namespace
{

bool failed(group_sums_cuda *device, cudaError_t error)
{
    if (error != cudaSuccess) words(device->why, sizeof device->why, error);
    return error != cudaSuccess;
}

// As many blocks as run at once: each takes an equal share of the rows, so a second wave would double the
// time.
cudaError_t launch(const group_sums_cuda *device, const pass &p)
{
    bool shared = p.group_count <= SLOTS;
    size_t shared_bytes = shared ? 3 * sizeof(uint32_t) * p.group_count * p.replicas : 0;
    int resident = 0;
    cudaError_t error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(
        &resident, shared ? sum_shared : sum_global, THREADS, shared_bytes);
    if (error != cudaSuccess) return error;
    uint64_t wanted = (p.row_count + THREADS - 1) / THREADS;
    uint64_t blocks_max = (uint64_t)device->processors * (resident > 0 ? resident : 1);
    uint32_t blocks = (uint32_t)(wanted < blocks_max ? wanted : blocks_max);
    if (shared)
        sum_shared<<<blocks, THREADS, shared_bytes>>>(p);
    else
        sum_global<<<blocks, THREADS>>>(p);
    return cudaGetLastError();
}

// Sums without noise must not outlive their use, in memory that somebody else gets next.
bool cells_wipe(group_sums_cuda *device, size_t count)
{
    if (count == 0) return true;
    explicit_bzero(device->host_cells, count * sizeof(cell));
    cudaError_t error = cudaMemset(device->cells, 0, count * sizeof(cell));
    if (error == cudaSuccess) error = cudaDeviceSynchronize();
    return !failed(device, error);
}

// Room for `count` cells on both sides. Grown, never shrunk, and zero between runs; a failure leaves nothing half-made.
enum err cells_reserve(group_sums_cuda *device, size_t count)
{
    if (count <= device->cell_count) return OK;
    cudaFree(device->cells);
    free(device->host_cells);
    device->cell_count = 0;
    device->cells = NULL;
    device->host_cells = (cell *)calloc(count, sizeof(cell));
    if (device->host_cells == NULL) return ERR_NO_MEMORY;
    if (failed(device, cudaMalloc(&device->cells, count * sizeof(cell)))) return ERR_UNAVAILABLE;
    device->cell_count = count;
    return cells_wipe(device, count) ? OK : ERR_UNAVAILABLE;
}

cudaError_t chunk_add(group_sums_cuda *device, const engine_rows *rows, const engine_measure *m, cell *cells,
                      uint64_t begin, uint64_t count)
{
    cudaError_t error =
        cudaMemcpy(device->values, m->values + begin, count * sizeof(int64_t), cudaMemcpyHostToDevice);
    if (error == cudaSuccess && m->valid != NULL)
        error = cudaMemcpy(device->valid, m->valid + begin / 64, (count + 63) / 64 * sizeof(uint64_t),
                           cudaMemcpyHostToDevice);
    if (error != cudaSuccess) return error;
    pass p = {cells,
              device->groups,
              device->values,
              m->valid != NULL ? device->valid : NULL,
              count,
              rows->group_count,
              replicas_for(rows->group_count),
              m->lower,
              m->upper};
    return launch(device, p);
}

cudaError_t chunks_add(group_sums_cuda *device, const engine_rows *rows, const engine_measure *measures,
                       uint32_t measure_count)
{
    cudaError_t error = cudaSuccess;
    for (uint64_t begin = 0; begin < rows->row_count; begin += CHUNK_ROWS) {
        uint64_t left = rows->row_count - begin;
        uint64_t count = left < CHUNK_ROWS ? left : CHUNK_ROWS;
        error = cudaMemcpy(device->groups, rows->groups + begin, count * sizeof(uint32_t),
                           cudaMemcpyHostToDevice);
        for (uint32_t i = 0; i < measure_count && error == cudaSuccess; i++)
            error = chunk_add(device, rows, &measures[i], device->cells + (size_t)i * rows->group_count,
                              begin, count);
        if (error != cudaSuccess) return error;
    }
    return error;
}

void cells_give(const cell *cells, const engine_measure *m, uint32_t group_count)
{
    for (uint32_t group = 0; group < group_count; group++) {
        memcpy(&m->sums[group], &cells[group].sum, sizeof cells[group].sum);
        m->counts[group] = cells[group].count;
    }
}

// The copy waits for the kernels and brings any error of theirs.
bool sums_take(group_sums_cuda *device, const engine_rows *rows, const engine_measure *measures,
               uint32_t measure_count)
{
    size_t count = (size_t)measure_count * rows->group_count;
    if (failed(device, chunks_add(device, rows, measures, measure_count))) return false;
    if (failed(device,
               cudaMemcpy(device->host_cells, device->cells, count * sizeof(cell), cudaMemcpyDeviceToHost)))
        return false;
    for (uint32_t i = 0; i < measure_count; i++)
        cells_give(device->host_cells + (size_t)i * rows->group_count, &measures[i], rows->group_count);
    return true;
}

float best_of(cudaEvent_t begin, cudaEvent_t end, float best)
{
    float milliseconds = 0;
    if (cudaEventSynchronize(end) != cudaSuccess) return best;
    if (cudaEventElapsedTime(&milliseconds, begin, end) != cudaSuccess) return best;
    return milliseconds < best ? milliseconds : best;
}

struct timing_buffers {
    uint32_t *groups;
    int64_t *values;
    cell *cells;
    char *copy;
    cudaEvent_t begin, end;
};

cudaError_t timing_open(timing_buffers *b, uint64_t row_count, uint32_t group_count)
{
    cudaError_t error = cudaMalloc(&b->groups, row_count * sizeof(uint32_t));
    if (error == cudaSuccess) error = cudaMalloc(&b->values, row_count * sizeof(int64_t));
    if (error == cudaSuccess) error = cudaMalloc(&b->copy, row_count * sizeof(int64_t));
    if (error == cudaSuccess) error = cudaMalloc(&b->cells, group_count * sizeof(cell));
    if (error == cudaSuccess) error = cudaMemset(b->cells, 0, group_count * sizeof(cell));
    if (error == cudaSuccess) error = cudaEventCreate(&b->begin);
    if (error == cudaSuccess) error = cudaEventCreate(&b->end);
    return error;
}

void timing_close(timing_buffers *b)
{
    cudaFree(b->groups);
    cudaFree(b->values);
    cudaFree(b->copy);
    cudaFree(b->cells);
    if (b->begin != NULL) cudaEventDestroy(b->begin);
    if (b->end != NULL) cudaEventDestroy(b->end);
}

cudaError_t timing_run(group_sums_timing *out, const group_sums_cuda *device, timing_buffers *b,
                       uint64_t row_count, uint32_t group_count)
{
    enum { REPEATS = 20 };
    pass p = {b->cells, b->groups, b->values, NULL, row_count, group_count, replicas_for(group_count),
              -1900,    1900};
    float kernel = 1e30f, copy = 1e30f;
    fill_rows<<<device->processors, THREADS>>>(b->groups, b->values, row_count, group_count);
    cudaError_t error = cudaGetLastError();
    for (int i = 0; i < REPEATS && error == cudaSuccess; i++) { // interleaved: both see the same clocks
        cudaEventRecord(b->begin);
        error = launch(device, p);
        cudaEventRecord(b->end);
        kernel = best_of(b->begin, b->end, kernel);
        cudaEventRecord(b->begin);
        cudaMemcpyAsync(b->copy, b->values, row_count * sizeof(int64_t), cudaMemcpyDeviceToDevice);
        cudaEventRecord(b->end);
        copy = best_of(b->begin, b->end, copy);
    }
    if (error == cudaSuccess) error = cudaDeviceSynchronize();
    *out = {kernel / 1e3, copy / 1e3, row_count * (sizeof(uint32_t) + sizeof(int64_t)),
            2 * row_count * sizeof(int64_t)};
    return error;
}

} // namespace

extern "C" {

enum err group_sums_cuda_describe(group_sums_device *out, char *why, size_t why_len)
{
    cudaDeviceProp properties;
    int count = 0;
    memset(out, 0, sizeof *out);
    cudaError_t error = cudaDriverGetVersion(&out->driver_cuda_version);
    if (error == cudaSuccess && out->driver_cuda_version == 0) {
        (void)snprintf(why, why_len, "no NVIDIA driver is installed"); // CUDA would call it too old
        return ERR_UNAVAILABLE;
    }
    if (error == cudaSuccess) error = cudaGetDeviceCount(&count);
    if (error == cudaSuccess && count == 0) error = cudaErrorNoDevice;
    if (error == cudaSuccess) error = cudaGetDeviceProperties(&properties, 0);
    if (error == cudaSuccess) error = cudaDeviceGetPCIBusId(out->pci_bus_id, sizeof out->pci_bus_id, 0);
    if (error == cudaSuccess) error = cudaRuntimeGetVersion(&out->runtime_cuda_version);
    if (error != cudaSuccess) {
        words(why, why_len, error);
        return ERR_UNAVAILABLE;
    }
    (void)snprintf(out->name, sizeof out->name, "%.95s", properties.name);
    out->memory_bytes = properties.totalGlobalMem;
    out->capability_major = properties.major;
    out->capability_minor = properties.minor;
    return OK;
}

enum err group_sums_cuda_open(group_sums_cuda **out, char *why, size_t why_len)
{
    group_sums_cuda *device = new (std::nothrow) group_sums_cuda();
    if (device == NULL) return ERR_NO_MEMORY;
    cudaError_t error = cudaSetDevice(0);
    if (error == cudaSuccess)
        error = cudaDeviceGetAttribute(&device->processors, cudaDevAttrMultiProcessorCount, 0);
    if (error == cudaSuccess) error = cudaMalloc(&device->groups, CHUNK_ROWS * sizeof(uint32_t));
    if (error == cudaSuccess) error = cudaMalloc(&device->values, CHUNK_ROWS * sizeof(int64_t));
    if (error == cudaSuccess) error = cudaMalloc(&device->valid, CHUNK_ROWS / 8);
    if (error != cudaSuccess) {
        words(why, why_len, error);
        group_sums_cuda_close(device);
        return ERR_UNAVAILABLE;
    }
    *out = device;
    return OK;
}

void group_sums_cuda_close(group_sums_cuda *device)
{
    if (device == NULL) return;
    // Rows and sums must not outlive their use in memory that the next program on this device gets.
    if (device->groups != NULL) cudaMemset(device->groups, 0, CHUNK_ROWS * sizeof(uint32_t));
    if (device->values != NULL) cudaMemset(device->values, 0, CHUNK_ROWS * sizeof(int64_t));
    if (device->valid != NULL) cudaMemset(device->valid, 0, CHUNK_ROWS / 8);
    if (device->cells != NULL) cudaMemset(device->cells, 0, device->cell_count * sizeof(cell));
    cudaFree(device->groups);
    cudaFree(device->values);
    cudaFree(device->valid);
    cudaFree(device->cells);
    free(device->host_cells);
    delete device;
}

const char *group_sums_cuda_why(const group_sums_cuda *device)
{
    return device->why;
}

enum err group_sums_cuda_run(void *handle, const engine_rows *rows, const engine_measure *measures,
                             uint32_t measure_count)
{
    group_sums_cuda *device = (group_sums_cuda *)handle;
    size_t count = (size_t)measure_count * rows->group_count;
    TRY(cells_reserve(device, count));
    bool taken = sums_take(device, rows, measures, measure_count);
    bool wiped = cells_wipe(device, count); // whatever came of it
    return taken && wiped ? OK : ERR_UNAVAILABLE;
}

enum err group_sums_cuda_time(group_sums_timing *out, group_sums_cuda *device, uint64_t row_count,
                              uint32_t group_count)
{
    timing_buffers buffers = {};
    if (row_count == 0 || group_count == 0 || group_count > ENGINE_GROUP_COUNT_MAX) return ERR_RANGE;
    cudaError_t error = timing_open(&buffers, row_count, group_count);
    if (error == cudaSuccess) error = timing_run(out, device, &buffers, row_count, group_count);
    timing_close(&buffers);
    return failed(device, error) ? ERR_UNAVAILABLE : OK;
}

} // extern "C"
