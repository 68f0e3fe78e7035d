-- A user's row is about 3 KB: the document, and its folded copy. PostgreSQL compresses from 2 KB on and moves what is still too
-- long into another table, which is a twelfth of the work of a create, and each read undoes it. Rows of up to 8 KB stay as they are.
alter table users set (toast_tuple_target = 8160);
