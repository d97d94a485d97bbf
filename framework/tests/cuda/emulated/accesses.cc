// Every read and write of a kernel, as the compiler reports them to a thread sanitizer: here they are held against what
// other threads did that no barrier keeps apart from it. Real hardware runs threads, warps and blocks in any order and
// at once.
//
// Within a block __syncthreads keeps accesses apart, within a warp __syncwarp does too (a shuffle or a vote does not);
// nothing does between the blocks of a launch. Atomics are left out, and so is everything of one or two bytes.
#include "accesses.h"
#include "threads.h"
#include <cstdlib>
#include <sys/mman.h>

extern "C" __attribute__((visibility("hidden"))) char __bss_start[], _end[];

namespace emulated {
Moment moment;

namespace {
// Who has read a word since: one thread, or lanes of a warp, or of several.
constexpr uint16_t LANES_OF = 1024, WARPS = 2048;
constexpr unsigned WARP_SIZE = 32, MOST_SHARED = 228 << 10;
constexpr size_t PAGE = 4096;

// What was last done with four bytes.
struct Word {
    uint32_t written, read;
    uint16_t writer, reader;
    uint16_t write_round, read_round;
};

Word* new_words(size_t bytes) {
    size_t size = (bytes / 4 + 2) * sizeof(Word);
    void* words = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (words == MAP_FAILED) fail("no memory to keep track of accesses");
    return static_cast<Word*>(words);
}

// A region lately looked for; many kernels use two or three.
struct Known {
    uintptr_t page;
    Region* region;
} known[256];

Region* find(uintptr_t address) {
    uintptr_t page = address / PAGE;
    Known& slot = known[page % 256];
    if (slot.page != page) slot = {page, region_at(address)};
    return slot.region;
}

bool at_once(uint32_t when, unsigned who, unsigned round, uint32_t oldest) {
    if (when < oldest || (when >= moment.block && when < moment.interval)) return false;
    if (when < moment.block) return true;
    if (who == moment.thread) return false;
    unsigned mine = moment.thread / WARP_SIZE, its = who >= LANES_OF ? who - LANES_OF : who / WARP_SIZE;
    return who == WARPS || its != mine || round == moment.round;
}

void touch(Word& w, bool write, uint32_t oldest, const void* at) {
    auto me = uint16_t(moment.thread), round = uint16_t(moment.round);
    if (at_once(w.written, w.writer, w.write_round, oldest))
        race(write ? "writes what another thread may write" : "reads what another thread may write", w.writer, at);
    if (write) {
        if (at_once(w.read, w.reader, w.read_round, oldest)) race("writes what another thread may read", w.reader, at);
        w.written = moment.interval;
        w.writer = me;
        w.write_round = round;
        return;
    }
    if (w.read == moment.interval && w.reader != me) {
        unsigned its = w.reader >= LANES_OF ? w.reader - LANES_OF : w.reader / WARP_SIZE;
        if (w.reader == WARPS || its != unsigned(me) / WARP_SIZE) me = WARPS;
        else if (w.read_round == round) me = uint16_t(LANES_OF + its);
    }
    w.read = moment.interval;
    w.reader = me;
    w.read_round = round;
}

void access(uintptr_t p, size_t bytes, bool write, const void* at) {
    if (!moment.watched || p - moment.stack < moment.stack_bytes) return;
    static Word* dynamic = new_words(MOST_SHARED);
    static Word* fixed = new_words(size_t(_end - __bss_start));
    Word* words;
    uint32_t oldest = moment.block;
    if (auto offset = p - reinterpret_cast<uintptr_t>(dynamic_shared); offset < moment.shared) {
        if (offset + bytes > moment.shared) race("leaves the block's shared memory", WARPS, at);
        words = dynamic + offset / 4;
    } else if (auto offset = p - reinterpret_cast<uintptr_t>(__bss_start); offset < size_t(_end - __bss_start)) {
        words = fixed + offset / 4;
        // What an earlier block left there is not there on real hardware.
        for (size_t i = 0; i < bytes / 4 && !write; i++)
            if (words[i].written < moment.block) memset(reinterpret_cast<char*>(p) + 4 * i, 0xff, 4);
    } else if (Region* region = find(p)) {
        if (p < region->start || p + bytes > region->start + region->bytes) race("leaves an allocation", WARPS, at);
        if (!region->words) region->words = new_words(region->bytes);
        words = static_cast<Word*>(region->words) + (p - region->start) / 4;
        oldest = moment.launch;
    } else {
        return; // constants, and the launch's own arguments
    }
    for (size_t i = 0; i < bytes / 4; i++) touch(words[i], write, oldest, at);
}
}  // namespace

void forget(Region& region) {
    if (region.words) munmap(region.words, (region.bytes / 4 + 2) * sizeof(Word));
    forget_where();
}

void forget_where() { memset(known, 0, sizeof known); }
}  // namespace emulated

#define ACCESS(name, bytes, write) \
    extern "C" void __tsan_##name(void* p) { \
        emulated::access(reinterpret_cast<uintptr_t>(p), bytes, write, __builtin_return_address(0)); \
    }
#define ACCESSES(bytes) \
    ACCESS(read##bytes, bytes, false) ACCESS(write##bytes, bytes, true) \
    ACCESS(unaligned_read##bytes, bytes, false) ACCESS(unaligned_write##bytes, bytes, true)
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)
extern "C" {
void __tsan_read_range(void* p, size_t bytes) {
    emulated::access(reinterpret_cast<uintptr_t>(p), bytes, false, __builtin_return_address(0));
}
void __tsan_write_range(void* p, size_t bytes) {
    emulated::access(reinterpret_cast<uintptr_t>(p), bytes, true, __builtin_return_address(0));
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
}
