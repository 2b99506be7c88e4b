#include "sim/regions.h"

#include "proto/base/panic.h"

static const struct region region[REGIONS_COUNT] = {
    {"netherlands", "NL", "EU", "West Europe"},
    {"ireland", "IE", "EU", "North Europe"},
    {"france", "FR", "EU", "France Central"},
    {"germany", "DE", "EU", "Germany West Central"},
    {"sweden", "SE", "EU", "Sweden Central"},
    {"italy", "IT", "EU", "Italy North"},
    {"switzerland", "CH", "CH", "Switzerland North"},
    {"uk", "GB", "UK", "UK South"},
    {"us-east", "US", "US", "East US"},
    {"us-central", "US", "US", "Central US"},
    {"us-west", "US", "US", "West US"},
    {"canada", "CA", "CA", "Canada Central"},
    {"singapore", "SG", "SG", "Southeast Asia"},
    {"japan", "JP", "JP", "Japan East"},
    {"india", "IN", "IN", "Central India"},
    {"australia", "AU", "AU", "Australia East"},
    {"brazil", "BR", "BR", "Brazil South"},
    {"south-africa", "ZA", "ZA", "South Africa North"},
};

/* Milliseconds as the source prints them: a row is where the probe starts, a column where it turns back. */
static const uint16_t measured_ms[REGIONS_COUNT][REGIONS_COUNT] = {
    /* clang-format off */
    {  0,  17,  12,  11,  26,  22,  17,  11,  85, 108, 146,  90, 169, 233, 140, 265, 185, 166}, /* West Europe */
    { 17,   0,  20,  27,  35,  36,  31,  13,  73, 101, 133,  77, 176, 225, 147, 263, 172, 172}, /* North Europe */
    { 13,  19,   0,  12,  37,  21,  16,  10,  87, 116, 145,  88, 162, 229, 134, 255, 190, 159}, /* France Central */
    { 11,  26,  12,   0,  28,  14,   9,  16,  94, 119, 151,  97, 166, 235, 139, 266, 196, 165}, /* Germany West Central */
    { 27,  33,  36,  27,   0,  38,  31,  31, 100, 129, 160, 106, 190, 252, 157, 285, 201, 186}, /* Sweden Central */
    { 23,  37,  23,  14,  37,   0,   9,  28,  98, 124, 161, 101, 167, 238, 132, 260, 200, 174}, /* Italy North */
    { 17,  31,  17,  10,  32,   9,   0,  23,  98, 124, 156,  98, 162, 235, 118, 255, 197, 168}, /* Switzerland North */
    { 11,  12,  11,  17,  31,  27,  23,   0,  78, 108, 140,  81, 167, 229, 141, 261, 180, 164}, /* UK South */
    { 83,  71,  88,  94, 100,  97,  98,  78,   0,  28,  69,  18, 224, 162, 198, 201, 117, 219}, /* East US */
    {110, 101, 116, 119, 126, 123, 123, 109,  29,   0,  39,  29, 198, 136, 223, 176, 149, 244}, /* Central US */
    {145, 133, 146, 152, 162, 159, 156, 140,  67,  39,   0,  69, 170, 108, 218, 140, 169, 273}, /* West US */
    { 90,  76,  89,  97, 109, 100,  98,  81,  18,  29,  69,   0, 222, 160, 201, 202, 129, 230}, /* Canada Central */
    {169, 176, 162, 166, 191, 165, 160, 167, 224, 197, 170, 222,   0,  72,  53,  95, 330, 177}, /* Southeast Asia */
    {234, 227, 231, 236, 253, 237, 235, 230, 162, 135, 107, 160,  72,   0, 122, 103, 262, 251}, /* Japan East */
    {139, 146, 135, 140, 164, 134, 118, 141, 201, 220, 217, 201,  53, 122,   0, 145, 303, 131}, /* Central India */
    {264, 263, 256, 267, 286, 262, 261, 261, 202, 176, 140, 202,  95, 104, 144,   0, 295, 328}, /* Australia East */
    {185, 172, 191, 198, 201, 201, 198, 181, 118, 149, 169, 129, 331, 262, 304, 295,   0, 321}, /* Brazil South */
    {166, 172, 159, 166, 188, 173, 168, 163, 220, 243, 272, 230, 177, 247, 130, 328, 321,   0}, /* South Africa North */
    /* clang-format on */
};
enum { WITHIN_US = 1735 };

const struct region *regions_at(uint32_t index)
{
    ASSERT(index < REGIONS_COUNT);
    return &region[index];
}

enum err regions_find(uint32_t *index, struct span name)
{
    for (*index = 0; *index < REGIONS_COUNT; ++*index)
        if (span_equal_text(name, region[*index].name)) return OK;
    return ERR_NOT_FOUND;
}

uint32_t regions_rtt_us(uint32_t a, uint32_t b)
{
    ASSERT(a < REGIONS_COUNT && b < REGIONS_COUNT);
    return a == b ? WITHIN_US : (measured_ms[a][b] + (uint32_t)measured_ms[b][a]) * 1000 / 2;
}
