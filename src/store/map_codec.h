/* SPDX-License-Identifier: Apache-2.0
 * map_codec.h - paths and values as msgpack, shared by operations and resolved maps.
 * Called by: map_ops.c, map.c. May touch: its arguments. Never: allocates. */
#ifndef WF_MAP_CODEC_H
#define WF_MAP_CODEC_H

#include "cursor.h"
#include "map.h"
#include "pack.h"

/* Depth of a payload's nesting: list, operation, path. */
#define WF_MAP_DEPTH 3u

bool wf_map_path_valid(const wf_map_path *path);
bool wf_map_value_valid(const wf_map_value *value);
void wf_map_path_pack(msgpack_packer *pk, const wf_map_path *path);
void wf_map_value_pack(msgpack_packer *pk, const wf_map_value *value);
weft_err wf_map_path_read(wf_cursor *c, wf_map_path *out);
weft_err wf_map_value_read(wf_cursor *c, wf_map_value *out);

#endif
