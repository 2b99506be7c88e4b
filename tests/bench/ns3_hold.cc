#include "tests/bench/ns3_hold.h"

#include <new>

#include <ns3/calendar-scheduler.h>
#include <ns3/heap-scheduler.h>
#include <ns3/map-scheduler.h>
#include <ns3/priority-queue-scheduler.h>

struct ns3_hold {
    ns3::Ptr<ns3::Scheduler> scheduler;
    uint32_t next_uid; /* what ns-3 orders equal times by */
};

const char *ns3_hold_name(uint32_t scheduler)
{
    static const char *const names[NS3_SCHEDULERS] = {"ns3_map", "ns3_heap", "ns3_calendar",
                                                      "ns3_priority_queue"};
    return names[scheduler];
}

static ns3::Ptr<ns3::Scheduler> make(uint32_t scheduler)
{
    switch (scheduler) {
    case 0: return ns3::CreateObject<ns3::MapScheduler>();
    case 1: return ns3::CreateObject<ns3::HeapScheduler>();
    case 2: return ns3::CreateObject<ns3::CalendarScheduler>();
    default: return ns3::CreateObject<ns3::PriorityQueueScheduler>();
    }
}

struct ns3_hold *ns3_hold_new(uint32_t scheduler)
{
    struct ns3_hold *h = new (std::nothrow) ns3_hold;
    if (h == nullptr) return nullptr;
    h->scheduler = make(scheduler);
    h->next_uid = 0;
    return h;
}

void ns3_hold_free(struct ns3_hold *h)
{
    delete h;
}

void ns3_hold_add(struct ns3_hold *h, uint64_t at_ns)
{
    h->scheduler->Insert({nullptr, {at_ns, h->next_uid++, 0}});
}

void ns3_hold_run(struct ns3_hold *h, uint32_t events, const uint64_t *gap_ns, uint64_t gaps, uint64_t *turn,
                  uint64_t *sum)
{
    ns3::Scheduler *scheduler = ns3::PeekPointer(h->scheduler);
    for (uint32_t i = 0; i < events; i++) {
        ns3::Scheduler::Event e = scheduler->RemoveNext();
        *sum = (*sum ^ e.key.m_ts) * UINT64_C(0x100000001b3);
        e.key.m_ts += gap_ns[(*turn)++ % gaps];
        e.key.m_uid = h->next_uid++;
        scheduler->Insert(e);
    }
}
