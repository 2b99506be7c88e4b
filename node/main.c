/* main: the program. Everything it does is in the libraries, so that tests reach it; here the command line is told of the simulator. */
#include "node/command.h"
#include "node/simulator.h"
#include "sim/sim.h"

_Static_assert((int)SIM_DETAIL == (int)SIMULATOR_DETAIL && (int)SIM_CSV == (int)SIMULATOR_CSV &&
                   (int)SIM_HTML == (int)SIMULATOR_HTML && (int)SIM_TRACE == (int)SIMULATOR_TRACE &&
                   (int)SIM_DOT == (int)SIMULATOR_DOT,
               "outputs are bits on both sides");
_Static_assert((int)SIM_TRUST_AS_WRITTEN == (int)SIMULATOR_AS_WRITTEN &&
                   (int)SIM_TRUST_FEDERATED == (int)SIMULATOR_FEDERATED &&
                   (int)SIM_TRUST_CENTRAL == (int)SIMULATOR_CENTRAL,
               "trust is one number on both sides");

static bool go_on(void *context, const struct sim_progress *p)
{
    const struct simulator_wish *wish = context;
    const struct simulator_progress progress = {p->virtual_ms, p->virtual_ms_planned, p->events,
                                                p->runs_ended, p->runs};
    return wish->go_on(wish->context, &progress);
}

static void take(void *context, enum sim_output output, const char *name, struct span bytes)
{
    const struct simulator_wish *wish = context;
    wish->take(wish->context, (enum simulator_output)output, name, bytes);
}

static enum err simulate(uint8_t **report, size_t *len, const struct simulator_wish *wish, char *fault,
                         size_t cap)
{
    struct simulator_wish theirs = *wish;
    const struct sim_wish w = {
        wish->scenario, wish->seed, go_on, wish->outputs, take, &theirs, (enum sim_trust)wish->trust};
    return sim_run(report, len, &w, fault, cap);
}

static enum err shrink(uint8_t **scenario, size_t *len, const struct simulator_wish *wish,
                       const char *violation, uint32_t tries)
{
    struct simulator_wish theirs = *wish;
    const struct sim_wish w = {wish->scenario, wish->seed, go_on, 0, take, &theirs, SIM_TRUST_AS_WRITTEN};
    return sim_shrink(scenario, len, &w, violation, tries);
}

int main(int argc, char **argv)
{
    static const struct simulator ours = {.run = simulate,
                                          .region = sim_region,
                                          .draw = sim_draw,
                                          .shrink = shrink,
                                          .sweep_open = sim_sweep_open,
                                          .sweep_close = sim_sweep_close,
                                          .sweep_cells = sim_sweep_cells,
                                          .sweep_cell = sim_sweep_cell,
                                          .sweep_scenario = sim_sweep_scenario,
                                          .sweep_values = sim_sweep_values,
                                          .csv = sim_csv};
    simulator_use(&ours);
    return command_main(argc, argv);
}
