/* SPDX-License-Identifier: Apache-2.0
 * raw_lmdb_none.c - stands for raw_lmdb.c in a build without LMDB.
 * Called by: store_raw.c. May touch: nothing. Never: pretends. */
#include "raw_engine.h"

const struct raw_engine *const raw_lmdb = NULL;
