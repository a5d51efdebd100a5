/* What mod_mark.c is to httpd's children, for Python processes: apps/mark.wsgi calls it. */
#include "mark.h"

void bench_mark(int on)
{
    mark(on);
}
