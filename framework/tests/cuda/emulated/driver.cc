// libcuda as far as dfdx, cudarc and the framework use it. What real hardware refuses is refused; what it leaves
// undefined (accesses outside of allocations, memory nobody has written) is made visible: every allocation ends at a
// page that must not be touched, and starts out as NaN.
//
// Environment: EMULATED_CUDA_GPUS (how many, default 1), EMULATED_CUDA_VERSION (of the driver, default 13000),
// EMULATED_CUDA_MEMORY (bytes, default 8 GiB), EMULATED_CUDA_IDLE (where set, nothing is computed: what is left is the
// work of the host).
#include "accesses.h"
#include "threads.h"
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace {
enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_DEVICE = 101, INVALID_CONTEXT = 201, NOT_FOUND = 500 };
constexpr unsigned char SLACK = 0xa5;

struct Allocation {
    char* pages;
    size_t mapped, bytes, slack;
    emulated::Region region;
};

std::recursive_mutex lock;
using Locked = std::lock_guard<std::recursive_mutex>;
std::map<uint64_t, Allocation> allocations; // by address
size_t used;
thread_local uint64_t copies_to_host, copies_to_device, launches, allocated;
int context; // its address is the primary context
thread_local void* bound;
std::map<void*, unsigned> shared_limit;

std::map<std::string, emulated::Kernel>& kernels() {
    static std::map<std::string, emulated::Kernel> all;
    return all;
}
using Entry = std::pair<const std::string, emulated::Kernel>;

size_t setting(const char* name, size_t otherwise) {
    const char* text = getenv(name);
    return text ? strtoull(text, nullptr, 10) : otherwise;
}
size_t total_memory() { return setting("EMULATED_CUDA_MEMORY", size_t(8) << 30); }
bool is_idle() {
    static bool idle = getenv("EMULATED_CUDA_IDLE");
    return idle;
}
int gpus() { return int(setting("EMULATED_CUDA_GPUS", 1)); }

const Allocation* owner(uint64_t address, size_t bytes) {
    auto after = allocations.upper_bound(address);
    if (after == allocations.begin()) return nullptr;
    auto& [start, a] = *--after;
    return address + bytes <= start + a.bytes ? &a : nullptr;
}

// Whether a copy or fill of these bytes is allowed on this thread.
int check(uint64_t address, size_t bytes) {
    if (!bound) return INVALID_CONTEXT;
    return bytes == 0 || owner(address, bytes) ? SUCCESS : INVALID_VALUE;
}

int allocate(uint64_t* address, size_t bytes) {
    Locked locked(lock);
    if (!bound) return INVALID_CONTEXT;
    if (used + bytes > total_memory()) return OUT_OF_MEMORY;
    size_t page = size_t(sysconf(_SC_PAGESIZE));
    size_t room = (bytes + 15) / 16 * 16; // kernels rely on aligned addresses
    size_t inside = (room + page - 1) / page * page;
    void* pages = mmap(nullptr, inside + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) return OUT_OF_MEMORY;
    char* start = static_cast<char*>(pages) + page;
    if (inside) mprotect(start, inside, PROT_READ | PROT_WRITE);
    char* data = start + inside - room;
    memset(start, SLACK, inside - room);
    memset(data, 0xff, bytes);
    memset(data + bytes, SLACK, room - bytes);
    *address = reinterpret_cast<uint64_t>(data);
    allocations[*address] = {static_cast<char*>(pages), inside + 2 * page, bytes, room - bytes, {*address, bytes}};
    emulated::forget_where();
    used += bytes;
    allocated++;
    return SUCCESS;
}

void check_slack(uint64_t address, const Allocation& a, const char* when) {
    auto bad = [](const char* from, const char* to) {
        for (; from < to; from++)
            if (static_cast<unsigned char>(*from) != SLACK) return true;
        return false;
    };
    char* data = reinterpret_cast<char*>(address);
    char* start = a.pages + size_t(sysconf(_SC_PAGESIZE));
    if (bad(start, data) || bad(data + a.bytes, data + a.bytes + a.slack)) {
        fprintf(stderr, "\nemulated GPU: %s wrote outside of an allocation of %zu bytes\n", when, a.bytes);
        abort();
    }
}

int release(uint64_t address) {
    Locked locked(lock);
    if (!bound) return INVALID_CONTEXT;
    auto found = allocations.find(address);
    if (found == allocations.end()) return INVALID_VALUE;
    check_slack(address, found->second, "something");
    emulated::forget(found->second.region);
    munmap(found->second.pages, found->second.mapped);
    used -= found->second.bytes;
    allocations.erase(found);
    return SUCCESS;
}

int fill(uint64_t to, unsigned char byte, size_t bytes) {
    if (is_idle()) return SUCCESS;
    Locked locked(lock);
    if (int code = check(to, bytes)) return code;
    memset(reinterpret_cast<void*>(to), byte, bytes);
    return SUCCESS;
}

int copy(void* to, const void* from, size_t bytes, uint64_t device, uint64_t other = 0) {
    Locked locked(lock);
    if (int code = check(device, bytes)) return code;
    if (other)
        if (int code = check(other, bytes)) return code;
    memmove(to, from, bytes);
    return SUCCESS;
}

int copy_to_host(void* to, uint64_t from, size_t bytes) {
    copies_to_host++;
    return copy(to, reinterpret_cast<void*>(from), bytes, from);
}
}  // namespace

namespace emulated {
void define(const char* name, Kernel kernel) { kernels()[name] = std::move(kernel); }

Region* region_at(uintptr_t address) {
    auto after = allocations.upper_bound(address | (uintptr_t(sysconf(_SC_PAGESIZE)) - 1));
    if (after == allocations.begin()) return nullptr;
    auto& [start, a] = *--after;
    return address < reinterpret_cast<uintptr_t>(a.pages) + a.mapped ? &a.region : nullptr;
}
}  // namespace emulated

extern "C" {
// For tests: what the calling thread has done.
uint64_t emulated_copies_to_host() { return copies_to_host; }
uint64_t emulated_copies_to_device() { return copies_to_device; }
uint64_t emulated_launches() { return launches; }
uint64_t emulated_allocations() { return allocated; }

int cuInit(unsigned) { return gpus() ? SUCCESS : NO_DEVICE; }
int cuDriverGetVersion(int* version) { *version = int(setting("EMULATED_CUDA_VERSION", 13000)); return SUCCESS; }
int cuGetErrorName(int code, const char** text) {
    switch (code) {
        case SUCCESS: *text = "CUDA_SUCCESS"; break;
        case INVALID_VALUE: *text = "CUDA_ERROR_INVALID_VALUE"; break;
        case OUT_OF_MEMORY: *text = "CUDA_ERROR_OUT_OF_MEMORY"; break;
        case NO_DEVICE: *text = "CUDA_ERROR_NO_DEVICE"; break;
        case INVALID_DEVICE: *text = "CUDA_ERROR_INVALID_DEVICE"; break;
        case INVALID_CONTEXT: *text = "CUDA_ERROR_INVALID_CONTEXT"; break;
        case NOT_FOUND: *text = "CUDA_ERROR_NOT_FOUND"; break;
        default: *text = nullptr; return INVALID_VALUE;
    }
    return SUCCESS;
}
int cuGetErrorString(int code, const char** text) { return cuGetErrorName(code, text); }
int cuDeviceGetCount(int* count) { *count = gpus(); return SUCCESS; }
int cuDeviceGet(int* device, int ordinal) {
    *device = ordinal;
    return ordinal >= 0 && ordinal < gpus() ? SUCCESS : INVALID_DEVICE;
}
int cuDeviceGetName(char* name, int length, int) { snprintf(name, size_t(length), "Emulated GPU"); return SUCCESS; }
int cuDeviceGetAttribute(int* value, int attribute, int) {
    switch (attribute) {
        case 16: *value = 4; break;  // multiprocessors
        case 75: *value = 9; break;  // compute capability
        case 76: *value = 0; break;
        case 97: *value = 227 << 10; break; // shared memory of a block
        case 115: *value = 1; break; // memory pools
        default: *value = 0;
    }
    return SUCCESS;
}
int cuDeviceTotalMem_v2(size_t* bytes, int) { *bytes = total_memory(); return SUCCESS; }
int cuDevicePrimaryCtxRetain(void** to, int) { *to = &context; return SUCCESS; }
int cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
int cuCtxGetCurrent(void** to) { *to = bound; return SUCCESS; }
int cuCtxSetCurrent(void* what) { bound = what; return SUCCESS; }

int cuMemGetInfo_v2(size_t* free, size_t* total) {
    Locked locked(lock);
    *total = total_memory();
    *free = *total - used;
    return SUCCESS;
}
int cuMemAlloc_v2(uint64_t* address, size_t bytes) { return bytes ? allocate(address, bytes) : INVALID_VALUE; }
int cuMemAllocAsync(uint64_t* address, size_t bytes, void*) { return allocate(address, bytes); }
int cuMemFree_v2(uint64_t address) { return release(address); }
int cuMemFreeAsync(uint64_t address, void*) { return release(address); }
int cuMemsetD8_v2(uint64_t to, unsigned char byte, size_t bytes) { return fill(to, byte, bytes); }
int cuMemsetD8Async(uint64_t to, unsigned char byte, size_t bytes, void*) { return fill(to, byte, bytes); }
int cuMemcpyHtoD_v2(uint64_t to, const void* from, size_t bytes) {
    copies_to_device++;
    return copy(reinterpret_cast<void*>(to), from, bytes, to);
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void*) { return cuMemcpyHtoD_v2(to, from, bytes); }
int cuMemcpyDtoH_v2(void* to, uint64_t from, size_t bytes) { return copy_to_host(to, from, bytes); }
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void*) { return copy_to_host(to, from, bytes); }
int cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t bytes) {
    return copy(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes, to, from);
}
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void*) { return cuMemcpyDtoD_v2(to, from, bytes); }

int cuModuleLoad(void** module, const char*) { *module = &context; return SUCCESS; }
int cuModuleLoadData(void** module, const void*) { *module = &context; return SUCCESS; }
int cuModuleUnload(void*) { return SUCCESS; }
int cuModuleGetFunction(void** function, void*, const char* name) {
    auto found = kernels().find(name);
    if (found == kernels().end()) return NOT_FOUND;
    *function = &*found;
    return SUCCESS;
}
int cuFuncGetParamInfo(void* function, size_t index, size_t* offset, size_t* size) {
    auto& sizes = static_cast<Entry*>(function)->second.sizes;
    if (index >= sizes.size()) return INVALID_VALUE;
    *offset = 0;
    *size = sizes[index];
    return SUCCESS;
}
int cuFuncSetAttribute(void* function, int attribute, int value) {
    if (attribute != 8 || value > 227 << 10) return INVALID_VALUE;
    Locked locked(lock);
    shared_limit[function] = unsigned(value);
    return SUCCESS;
}
int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   void*, void** args, void**) {
    Locked locked(lock);
    if (!bound) return INVALID_CONTEXT;
    unsigned limit = shared_limit.count(function) ? shared_limit[function] : 48u << 10;
    uint64_t threads = uint64_t(bx) * by * bz;
    if (!threads || threads > 1024 || bz > 64 || !gx || !gy || !gz || gx > 0x7fffffffu || gy > 65535 || gz > 65535 || shared > limit)
        return INVALID_VALUE;
    auto& [name, kernel] = *static_cast<Entry*>(function);
    launches++;
    if (is_idle()) return SUCCESS;
    emulated::run({name.c_str(), kernel.call, args, {gx, gy, gz}, {bx, by, bz}, shared});
    for (auto& [address, a] : allocations) check_slack(address, a, name.c_str());
    return SUCCESS;
}

int cuStreamCreate(void** stream, unsigned) { *stream = &context; return SUCCESS; }
int cuStreamDestroy_v2(void*) { return SUCCESS; }
int cuStreamSynchronize(void*) { return SUCCESS; }
int cuStreamWaitEvent(void*, void*, unsigned) { return SUCCESS; }
int cuEventCreate(void** event, unsigned) { *event = &context; return SUCCESS; }
int cuEventDestroy_v2(void*) { return SUCCESS; }
int cuEventRecord(void*, void*) { return SUCCESS; }
int cuEventElapsedTime(float* ms, void*, void*) { *ms = 0; return SUCCESS; }
}
