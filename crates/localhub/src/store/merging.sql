-- How often a push or a merge changed branches of the repository. Whoever asks git something and
-- then writes compares this number, to learn whether the answer may be out of date.
ALTER TABLE repositories ADD COLUMN branch_changes INTEGER NOT NULL DEFAULT 0;

-- A merge that is under way: the commit that the base branch is being moved to, and who merges.
-- Both are set before git moves the branch and cleared in the transaction that records the merge.
ALTER TABLE pulls ADD COLUMN merging_commit TEXT;
ALTER TABLE pulls ADD COLUMN merging_by INTEGER REFERENCES users (id);
