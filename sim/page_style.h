/* page_style: the style of sim/page.c, by itself, as its hash is part of the page's policy. Colours that carry meaning have a contrast of 3 and
 * more to what they stand on, text of 4.5. */
#ifndef PERIGEE_SIM_PAGE_STYLE_H
#define PERIGEE_SIM_PAGE_STYLE_H

extern const char page_style[];

#endif
