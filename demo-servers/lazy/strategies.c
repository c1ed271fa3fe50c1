/* The strategies that `lazy-files` can be told to use. */
#include "io.h"

const struct strategy *const strategies[] = { &nb_b, &nb_laio, &laio_laio, &nb_aio, &nb_amped, NULL };
