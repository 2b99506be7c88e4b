/* main: the program. Everything it does is in the library, so that tests reach it. */
#include "node/command.h"

int main(int argc, char **argv)
{
    return command_main(argc, argv);
}
