/* main: the program. Everything it does is in the libraries, so that tests reach it; here the command line is told of the simulator. */
#include "node/command.h"
#include "node/simulator.h"
#include "sim/sim.h"

static enum err simulate(uint8_t **report, size_t *len, const struct simulator_wish *wish, char *fault,
                         size_t cap)
{
    const struct sim_wish w = {wish->scenario, wish->seed, wish->go_on, wish->context};
    return sim_run(report, len, &w, fault, cap);
}

int main(int argc, char **argv)
{
    static const struct simulator ours = {simulate, sim_region};
    simulator_use(&ours);
    return command_main(argc, argv);
}
