// Runs the threads of a block, one after the other, each on a stack of its own.
//
// Real hardware promises no order, so this one changes: a kernel's first launch goes forward, its second one backward,
// later ones shuffle blocks, warps and the threads of a warp, and leave a warp for another one wherever it exchanges
// something. Environment: EMULATED_ORDER = forward, backward, or a number that starts the shuffling of all launches.
#include "threads.h"
#include "accesses.h"
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <map>
#include <numeric>
#include <string>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

// Everything else of the kernels that is zero at the start is shared memory; see accesses.cc.
#define NOT_SHARED __attribute__((section(".data")))
NOT_SHARED dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulated {
NOT_SHARED void* dynamic_shared;

namespace {
constexpr size_t STACK = 256 << 10;
constexpr unsigned WARP_SIZE = 32;
constexpr uint64_t WATCHED = 64; // blocks of a launch whose accesses are looked at: watching costs more than running

enum State { NEW, READY, WAITING, DONE };

struct Thread {
    State state = NEW;
    struct Fiber* fiber = nullptr;
    Wait kind{};
    unsigned mask = 0, lane = 0;
    uint64_t value = 0;
    const char* file = nullptr;
    int line = 0;
};

struct Fiber {
    char* stack = nullptr;
    void* stack_pointer = nullptr;
    ucontext_t context;
};

Thread threads[1024];
std::vector<Fiber*> idle;
Fiber scheduler;
unsigned current;
const Launch* launch;
bool running;
uint16_t rounds[WARP_SIZE]; // of each warp

enum { FORWARD, BACKWARD, SHUFFLED } order;
uint64_t random_state;

unsigned below(unsigned n) {
    random_state = random_state * 6364136223846793005 + 1442695040888963407;
    return unsigned((random_state >> 33) * n >> 31);
}

// Which of `n` in a row comes next.
unsigned pick(unsigned n) { return order == FORWARD ? 0 : order == BACKWARD ? n - 1 : below(n); }

void choose_order(const char* kernel) {
    thread_local std::map<std::string, uint64_t> launches;
    const char* wanted = getenv("EMULATED_ORDER");
    uint64_t n = launches[kernel]++;
    if (wanted && (*wanted == 'f' || *wanted == 'b')) n = *wanted == 'b';
    else if (wanted) n += strtoull(wanted, nullptr, 10) + 2;
    order = n == 0 ? FORWARD : n == 1 ? BACKWARD : SHUFFLED;
    random_state = n * 0x9e3779b97f4a7c15;
}

[[noreturn]] void fail_at(const char* what, const Thread* a = nullptr, const Thread* b = nullptr) {
    fprintf(stderr, "\nemulated GPU: kernel `%s`, block (%u, %u, %u), thread (%u, %u, %u): %s\n", launch ? launch->name : "none",
            blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z, what);
    for (const Thread* t : {a, b})
        if (t && t->file) fprintf(stderr, "  thread %d: %s:%d\n", int(t - threads), t->file, t->line);
    abort();
}

// Saves where this stack is and goes on where another one was.
#if defined(__x86_64__)
extern "C" void emulated_switch(void** save, void* load);
asm(R"(
.text
.local emulated_switch
emulated_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");
void go(Fiber& from, Fiber& to) { emulated_switch(&from.stack_pointer, to.stack_pointer); }
#else
void go(Fiber& from, Fiber& to) { swapcontext(&from.context, &to.context); }
#endif

void finished() {
    Thread& me = threads[current];
    me.state = DONE;
    Fiber* mine = me.fiber;
    me.fiber = nullptr;
    idle.push_back(mine);
    go(*mine, scheduler);
}

// A fiber runs one thread after another.
void fiber_main() {
    for (;;) {
        launch->call(launch->args);
        finished();
    }
}

Fiber* new_fiber() {
    auto* fiber = new Fiber;
    size_t page = size_t(sysconf(_SC_PAGESIZE));
    void* memory = mmap(nullptr, STACK + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) fail("no memory for a stack");
    mprotect(memory, page, PROT_NONE);
    char* bottom = static_cast<char*>(memory) + page;
    fiber->stack = bottom;
#if defined(__x86_64__)
    auto* top = reinterpret_cast<void**>(bottom + STACK);
    *--top = nullptr;  // the return address of fiber_main, which never returns
    *--top = reinterpret_cast<void*>(fiber_main);
    top -= 6;
    fiber->stack_pointer = top;
#else
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = bottom;
    fiber->context.uc_stack.ss_size = STACK;
    makecontext(&fiber->context, fiber_main, 0);
#endif
    return fiber;
}

void resume(unsigned i) {
    Thread& t = threads[i];
    if (!t.fiber) {
        if (idle.empty()) idle.push_back(new_fiber());
        t.fiber = idle.back();
        idle.pop_back();
    }
    current = i;
    threadIdx = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
    t.state = READY;
    moment.thread = i;
    moment.round = rounds[i / WARP_SIZE];
    moment.stack = reinterpret_cast<uintptr_t>(t.fiber->stack);
    go(scheduler, *t.fiber);
}

bool together(const Thread& a, const Thread& b) { return a.kind == b.kind && a.line == b.line && !strcmp(a.file, b.file); }

// Lets a warp go on whose threads all wait for each other; false where they wait for the block, or are done.
bool exchange_in_warp(unsigned first, unsigned end) {
    const Thread* one = nullptr;
    for (unsigned i = first; i < end; i++)
        if (threads[i].state == WAITING && threads[i].kind != BARRIER) one = &threads[i];
    if (!one) return false;
    if (one->kind == WARP) rounds[first / WARP_SIZE]++;
    unsigned votes = 0;
    for (unsigned i = first; i < end; i++) {
        const Thread& t = threads[i];
        if (t.state == DONE) continue;
        if (!together(t, *one)) fail_at("a warp's threads wait in different places", one, &t);
        if (!(one->mask >> (i - first) & 1)) fail_at("a thread waits that the mask does not name", &t);
        votes |= unsigned(t.value) << (i - first);
    }
    uint64_t values[WARP_SIZE];
    for (unsigned i = first; i < end; i++) {
        unsigned from = threads[i].lane % WARP_SIZE + first;
        // What a lane that is not there says is anything: a NaN shows it.
        values[i - first] = from < end && threads[from].state == WAITING ? threads[from].value : ~uint64_t(0);
    }
    for (unsigned i = first; i < end; i++) {
        Thread& t = threads[i];
        if (t.state != WAITING) continue;
        t.value = t.kind == BALLOT ? votes : values[i - first];
        t.state = READY;
    }
    return true;
}

// Runs the threads of a warp as far as they go.
void run_warp(unsigned first, unsigned end) {
    unsigned ready[WARP_SIZE], count = 0;
    for (unsigned i = first; i < end; i++)
        if (threads[i].state == NEW || threads[i].state == READY) ready[count++] = i;
    while (count) {
        unsigned at = pick(count);
        resume(ready[at]);
        memmove(ready + at, ready + at + 1, (--count - at) * sizeof *ready);
    }
}

void run_block(unsigned count) {
    for (unsigned i = 0; i < count; i++) threads[i] = Thread{};
    memset(rounds, 0, sizeof rounds);
    moment.block = moment.interval;
    for (;; moment.interval++) {
        unsigned warps[WARP_SIZE], left = (count + WARP_SIZE - 1) / WARP_SIZE;
        for (unsigned w = 0; w < left; w++) warps[w] = w;
        while (left) {
            unsigned at = pick(left), first = warps[at] * WARP_SIZE, end = first + WARP_SIZE < count ? first + WARP_SIZE : count;
            run_warp(first, end);
            if (!exchange_in_warp(first, end)) memmove(warps + at, warps + at + 1, (--left - at) * sizeof *warps);
        }
        const Thread* one = nullptr;
        for (unsigned i = 0; i < count; i++) {
            if (threads[i].state != WAITING) continue;
            if (one && !together(*one, threads[i])) fail_at("a block's threads wait at different barriers", one, &threads[i]);
            one = &threads[i];
        }
        if (!one) return;
        for (unsigned i = 0; i < count; i++)
            if (threads[i].state == WAITING) threads[i].state = READY;
    }
}

void out_of_bounds(int, siginfo_t* info, void*) {
    if (running) fprintf(stderr, "\nemulated GPU: access to %p, which is outside of any allocation:", info->si_addr);
    if (running) fail("out of bounds");
    signal(SIGSEGV, SIG_DFL);
}

// The kernels are compiled so that they trap here.
void undefined(int, siginfo_t* info, void*) {
    if (running) race("does what C++ leaves undefined, such as a misaligned access or one beyond an array", ~0u, info->si_addr);
    signal(SIGILL, SIG_DFL);
}
}  // namespace

void fail(const char* what) { fail_at(what); }

void race(const char* what, unsigned other, const void* at) {
    fprintf(stderr, "\nemulated GPU: thread %u of the block %s", current, what);
    if (other < 1024) fprintf(stderr, ": thread %u", other);
    Dl_info where;
    if (dladdr(at, &where)) {
        auto offset = static_cast<const char*>(at) - static_cast<const char*>(where.dli_fbase) - 1;
        fprintf(stderr, " at:\n");
        char hex[32];
        snprintf(hex, sizeof hex, "%#zx", size_t(offset));
        std::string ask = "addr2line -ie '" + std::string(where.dli_fname) + "' " + hex + " >&2";
        if (system(ask.c_str())) fprintf(stderr, "%s %s\n", where.dli_fname, hex);
    }
    fail_at(what);
}

unsigned lane() { return current % WARP_SIZE; }

uint64_t wait(Wait kind, unsigned mask, uint64_t value, unsigned lane, const char* file, int line) {
    Thread& me = threads[current];
    unsigned i = current;
    me.state = WAITING;
    me.kind = kind;
    me.mask = mask;
    me.lane = lane;
    me.value = value;
    me.file = file;
    me.line = line;
    go(*me.fiber, scheduler);
    return threads[i].value;
}

void run(const Launch& what) {
    static bool handled = [] {
        struct sigaction action {};
        action.sa_sigaction = out_of_bounds;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigaction(SIGSEGV, &action, nullptr);
        action.sa_sigaction = undefined;
        sigaction(SIGILL, &action, nullptr);
        return true;
    }();
    (void)handled;
    static uint32_t intervals;
    launch = &what;
    running = true;
    gridDim = what.grid;
    blockDim = what.block;
    std::vector<unsigned char> shared(what.shared + 16);
    auto aligned = (reinterpret_cast<uintptr_t>(shared.data()) + 15) / 16 * 16;
    dynamic_shared = reinterpret_cast<void*>(aligned);
    unsigned count = blockDim.x * blockDim.y * blockDim.z;
    moment.stack_bytes = STACK;
    moment.shared = what.shared;
    moment.launch = ++intervals;
    moment.interval = intervals;
    choose_order(what.name);
    uint64_t blocks = uint64_t(gridDim.x) * gridDim.y * gridDim.z, step = blocks * 5 / 8, start = blocks / 3;
    while (std::gcd(step, blocks) != 1) step++;
    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t at = order == FORWARD ? i : order == BACKWARD ? blocks - 1 - i : (i * step + start) % blocks;
        blockIdx = {unsigned(at % gridDim.x), unsigned(at / gridDim.x % gridDim.y), unsigned(at / gridDim.x / gridDim.y)};
        memset(dynamic_shared, 0xff, what.shared);
        moment.watched = i % (1 + blocks / WATCHED) == 0;
        run_block(count);
        moment.interval++;
    }
    intervals = moment.interval;
    moment.watched = false;
    running = false;
    launch = nullptr;
}
}  // namespace emulated
