/* The module perigee-mpi.so: node/ranks.h over Open MPI. It is built where libopenmpi-dev is, and linked with nothing of perigee. */
#include "node/ranks.h"

#include <limits.h>
#include <mpi.h>

static bool begin(uint32_t *rank, uint32_t *size)
{
    int own, all;
    if (MPI_Init(NULL, NULL) != MPI_SUCCESS) return false;
    if (MPI_Comm_rank(MPI_COMM_WORLD, &own) != MPI_SUCCESS ||
        MPI_Comm_size(MPI_COMM_WORLD, &all) != MPI_SUCCESS)
        return false;
    *rank = (uint32_t)own;
    *size = (uint32_t)all;
    return true;
}

static bool send(uint32_t to, const void *bytes, size_t len)
{
    return len <= INT_MAX && MPI_Send(bytes, (int)len, MPI_BYTE, (int)to, 0, MPI_COMM_WORLD) == MPI_SUCCESS;
}

static bool receive(uint32_t *from, void *bytes, size_t cap, size_t *len)
{
    MPI_Status status;
    int there = 0, count = 0;
    if (MPI_Iprobe(MPI_ANY_SOURCE, 0, MPI_COMM_WORLD, &there, &status) != MPI_SUCCESS || there == 0)
        return false;
    if (MPI_Get_count(&status, MPI_BYTE, &count) != MPI_SUCCESS || count < 0 || (size_t)count > cap)
        (void)MPI_Abort(MPI_COMM_WORLD, 1);
    *from = (uint32_t)status.MPI_SOURCE;
    *len = (size_t)count;
    return MPI_Recv(bytes, count, MPI_BYTE, status.MPI_SOURCE, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE) ==
           MPI_SUCCESS;
}

static void end(void)
{
    (void)MPI_Finalize();
}

extern const struct ranks_module ranks_mpi;
const struct ranks_module ranks_mpi = {RANKS_VERSION, begin, send, receive, end};
