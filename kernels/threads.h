// Tasks on all cores, for host.cpp. A step of training is a dozen jobs of a tenth of a millisecond or more, so whoever
// waits looks again and again for a while before it sleeps: to be woken takes longer than most waits. But not for long,
// as OpenMP does (an epoch took four times as long while another program used one of two cores), nobody waits for a
// thread that has taken no task, and a thread that finds itself on the caller's core, as where others use the rest of
// them, sleeps at once: it would look for the next task where the caller is to bring it forth.

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <new>
#include <thread>

namespace lettergpu {

constexpr std::chrono::microseconds PATIENCE(100);  // 30 was slower alone, 1000 slower beside others

// That the calling thread runs on, or `unknown`
inline int own_core(int unknown) {
#if defined(__linux__)
    return sched_getcpu();
#else
    return unknown;
#endif
}

class Threads {
  public:
    std::atomic<int> count{1};  // of threads, the caller's among them

    // task(context, i) for each i < tasks; returns when all are done. Of several callers at once, one has the threads.
    void run(uint32_t tasks, void (*task)(void*, uint32_t), void* context) {
        std::unique_lock<std::mutex> mine(one_job, std::try_to_lock);
        if (count == 1 || tasks == 1 || !mine) {
            for (uint32_t i = 0; i < tasks; i++) task(context, i);
            return;
        }
        for (; started < count; started++) std::thread([this] { work(); }).detach();
        this->task = task, this->context = context;
        core.store(own_core(-1));
        done.store(0);
        next.store(uint64_t(tasks) << 32);
        if (asleep.load()) {
            std::lock_guard<std::mutex> lock(sleep);
            wake.notify_all();
        }
        while (take_one()) {}
        const auto finished = [=] { return done.load() == tasks; };
        if (!soon(finished)) {
            std::unique_lock<std::mutex> lock(sleep);
            caller_asleep = true;
            ready.wait(lock, finished);
            caller_asleep = false;
        }
    }

  private:
    std::atomic<uint64_t> next{0};  // how many tasks the job has, in the upper half, and the next one, in the lower
    std::atomic<uint32_t> done{0};
    std::atomic<int> asleep{0};
    std::atomic<int> core{-1};  // the caller's, as it began
    std::atomic<bool> caller_asleep{false};
    int started = 1;
    void (*task)(void*, uint32_t) = nullptr;
    void* context = nullptr;
    std::mutex one_job, sleep;
    std::condition_variable wake, ready;

    bool a_task_waits() const {
        const uint64_t at = next.load();
        return uint32_t(at) < at >> 32;
    }

    // Whoever advances `next` owns that task. Until it is done the job cannot end, so `task` is that job's.
    bool take_one() {
        uint64_t at = next.load();
        if (uint32_t(at) >= at >> 32) return false;
        if (next.compare_exchange_strong(at, at + 1)) {
            task(context, uint32_t(at));
            if (done.fetch_add(1) + 1 == at >> 32 && caller_asleep) {
                std::lock_guard<std::mutex> lock(sleep);
                ready.notify_one();
            }
        }
        return true;
    }

    void work() {
        for (;;) {
            while (take_one()) {}
            const auto called = [this] { return a_task_waits() || own_core(-2) == core.load(); };
            if (soon(called) && a_task_waits()) continue;
            std::unique_lock<std::mutex> lock(sleep);
            asleep++;
            wake.wait(lock, [this] { return a_task_waits(); });
            asleep--;
        }
    }

    template <typename Condition>  // whether it holds before patience ends
    static bool soon(Condition condition) {
        using std::chrono::steady_clock;
        const auto since = steady_clock::now();
        do
            for (int turn = 0; turn < 16; turn++) {
                if (condition()) return true;
#if defined(__SSE2__)
                __builtin_ia32_pause();
#endif
            }
        while (steady_clock::now() - since < PATIENCE);
        return false;
    }
};

// It outlives the program's statics, and a forked process, which has none of its parent's threads, begins anew.
inline Threads& threads() {
    static Threads& only = *[] {
        static Threads* made = new Threads;
        pthread_atfork(nullptr, nullptr, [] {
            const int count = made->count;
            new (made) Threads;
            made->count = count;
        });
        return made;
    }();
    return only;
}

// task(begin, end) for parts of 0 to count, each of `size` but the last
template <typename Task>
inline void in_parts(std::ptrdiff_t count, std::ptrdiff_t size, Task task) {
    const auto part = [=](uint32_t i) { task(i * size, i * size + size < count ? i * size + size : count); };
    threads().run(uint32_t((count + size - 1) / size),
                  [](void* part_, uint32_t i) { (*static_cast<decltype(part)*>(part_))(i); }, (void*)&part);
}

}  // namespace lettergpu
