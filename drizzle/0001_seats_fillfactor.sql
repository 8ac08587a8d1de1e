-- Selling changes a seat about once: room for the new row version on the same page keeps the update
-- heap-only, so that no index of "seats" is touched on the hot path.
ALTER TABLE "seats" SET (fillfactor = 80);
