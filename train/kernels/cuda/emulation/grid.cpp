//! The scheduler of the emulated grid: fibres of one block until all are done, then the next block.

#include "grid.h"

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {

Moment now;
std::vector<Fibre> fibres;
std::vector<Warp> warps;

namespace {

const size_t STACK = 96 << 10;
/// What a block may have on every card since 2020: static shared memory, and with what a launch asks for.
const size_t MOST_STATIC = 48 << 10, MOST_SHARED = 163 << 10;
ucontext_t scheduler;
std::string fault;
const Body* running = nullptr;
std::map<const void*, std::unique_ptr<Region>> shared_regions;
std::unique_ptr<Region> dynamic;
uint32_t launches = 0;

void enter() {
    (*running)();
    fibres[now.thread].state = State::Done;
    swapcontext(&fibres[now.thread].context, &scheduler);
}

void resume(uint32_t thread) {
    now.thread = thread;
    now.warp_phase = fibres[thread].warp_phase;
    threadIdx.x = thread % blockDim.x;
    threadIdx.y = thread / blockDim.x % blockDim.y;
    threadIdx.z = thread / blockDim.x / blockDim.y;
    swapcontext(&scheduler, &fibres[thread].context);
}

void begin_thread(uint32_t thread) {
    Fibre& fibre = fibres[thread];
    if (!fibre.stack) fibre.stack.reset(new char[STACK]);
    getcontext(&fibre.context);
    fibre.context.uc_stack.ss_sp = fibre.stack.get();
    fibre.context.uc_stack.ss_size = STACK;
    fibre.context.uc_link = nullptr;
    makecontext(&fibre.context, enter, 0);
    fibre.state = State::Runs;
    fibre.warp_phase = 0;
}

/// Threads of a range that are in a state.
uint32_t count(uint32_t first, uint32_t last, State state) {
    uint32_t found = 0;
    for (uint32_t t = first; t < last; t++) found += fibres[t].state == state;
    return found;
}

/// Lets the warps go on whose lanes have all come to the same shuffle.
bool release_warps(uint32_t threads) {
    bool any = false;
    for (uint32_t first = 0; first < threads; first += 32) {
        uint32_t last = first + 32 < threads ? first + 32 : threads;
        if (last - first < 32 || count(first, last, State::WaitsForWarp) < 32) continue;
        for (uint32_t t = first; t < last; t++) {
            fibres[t].state = State::Runs;
            fibres[t].warp_phase++;
        }
        any = true;
    }
    return any;
}

bool release_block(uint32_t threads) {
    if (count(0, threads, State::WaitsForBlock) < threads) return false;
    for (uint32_t t = 0; t < threads; t++) fibres[t].state = State::Runs;
    now.phase++;
    return true;
}

void report_divergence(uint32_t threads) {
    fault = text("divergence: %u threads wait for their block, %u for their warp, %u are done", count(0, threads, State::WaitsForBlock),
        count(0, threads, State::WaitsForWarp), count(0, threads, State::Done));
    if (threads % 32) fault += " (and the block is no multiple of a warp)";
}

void run_block(uint32_t threads) {
    now.phase = 0;
    for (auto& region : shared_regions)
        for (Shadow& shadow : region.second->shadows) shadow = Shadow();
    if (dynamic)
        for (Shadow& shadow : dynamic->shadows) shadow = Shadow();
    for (uint32_t t = 0; t < threads; t++) begin_thread(t);
    while (fault.empty()) {
        for (uint32_t t = 0; t < threads && fault.empty(); t++)
            if (fibres[t].state == State::Runs) resume(t);
        if (!fault.empty() || count(0, threads, State::Done) == threads) return;
        if (!release_warps(threads) && !release_block(threads)) report_divergence(threads);
    }
}

}  // namespace

void end_launch(const std::string& message) {
    fault = text("block %u, thread %u: ", now.block, now.thread) + message;
    swapcontext(&fibres[now.thread].context, &scheduler);
    abort();
}

void wait(State state) {
    Fibre& fibre = fibres[now.thread];
    fibre.state = state;
    swapcontext(&fibre.context, &scheduler);
}

Region* shared_region(const void* place, const char* name, size_t bytes) {
    auto& region = shared_regions[place];
    if (!region || region->bytes.size() != bytes) region.reset(new Region(name, bytes));
    size_t total = 0;
    for (auto& one : shared_regions) total += one.second->bytes.size();
    if (total > MOST_STATIC || total + dynamic->bytes.size() > MOST_SHARED)
        end_launch(text("%zu bytes of static and %zu of dynamic shared memory", total, dynamic->bytes.size()));
    return region.get();
}

Region* dynamic_region() { return dynamic.get(); }

std::map<std::string, Binder>& kernels() {
    static std::map<std::string, Binder> all;
    return all;
}

std::string run_grid(const Launch& launch, const Body& body) {
    uint32_t threads = launch.block.x * launch.block.y * launch.block.z;
    if (threads == 0 || threads > 1024) return text("a block of %u threads", threads);
    if (launch.grid.x == 0 || launch.grid.y == 0 || launch.grid.z == 0) return "a grid of no blocks";
    if (launch.grid.y > 65535 || launch.grid.z > 65535) return "a grid of more than 65535 blocks along y or z";
    if (launch.shared_bytes > MOST_SHARED) return text("%zu bytes of shared memory", launch.shared_bytes);
    if (fibres.size() < threads) fibres.resize(threads);
    warps.resize((threads + 31) / 32);
    fault.clear();
    shared_regions.clear();
    dynamic.reset(new Region("dynamic shared memory", launch.shared_bytes));
    running = &body;
    now = Moment();
    now.launch = ++launches;
    gridDim = launch.grid;
    blockDim = launch.block;
    for (uint32_t z = 0; z < launch.grid.z && fault.empty(); z++)
        for (uint32_t y = 0; y < launch.grid.y && fault.empty(); y++)
            for (uint32_t x = 0; x < launch.grid.x && fault.empty(); x++) {
                blockIdx = dim3{x, y, z};
                now.block = x + launch.grid.x * (y + launch.grid.y * z);
                run_block(threads);
            }
    return fault;
}

}  // namespace emulation
