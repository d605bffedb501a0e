insert into e_default values(10,'n',null,null,'b'),(11,'m','o',3,null)
update e_default set note='q' where id=10
update e_default set n=6 where id=1
update e_default set id=20 where id=1
update e_default set id=21, note='both' where id=11
delete from e_default where id=10
delete from e_default where id=20
insert into e_full values(10,'n',null,repeat('y',2500))
update e_full set note='z' where id=10
update e_full set id=12 where id=10
delete from e_full where id=12
insert into e_index values(1,'c','n')
update e_index set note='u'
update e_index set code='d'
update e_index set id=2
delete from e_index
insert into e_index_wide values(1,'c','n',5)
update e_index_wide set note='u'
update e_index_wide set k=6
update e_index_wide set id=2
delete from e_index_wide
insert into e_nothing values(1,'n')
insert into e_nopk values(3,'n')
update e_nopk set b='u' where a=3
update e_nopk set a=4 where a=3
delete from e_nopk where a=4
insert into e_composite values('y',3,4,'2024-01-01 00:00:00+00')
update e_composite set x='z' where a=4
update e_composite set a=5 where a=4
delete from e_composite where a=5
insert into e_quoted values(2,'z"',3)
update e_quoted set "i""d\"=3
delete from e_quoted
insert into e_textkey values(E'a"b\\c',1),(E'tab\tnl\n\x01',2),('ä😀/',3)
update e_textkey set k=k||'x'
delete from e_textkey
insert into e_multikey values('b','a')
update e_multikey set b='c'
delete from e_multikey
insert into e_money values(1,1.5,1e10,'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11','2024-01-01','\x0102')
update e_money set id=2
delete from e_money
begin; insert into e_default values(30,'t1',null,null,null); update e_default set note='t2' where id=30; delete from e_default where id=30; commit
begin; insert into e_default values(31,'t1',null,null,null); insert into e_full values(31,'f',null,null); savepoint a; insert into e_default values(32,'gone',null,null,null); rollback to a; insert into e_default values(33,'k',null,null,null); commit
truncate e_default, e_full
truncate e_nopk restart identity
insert into m_truncate values(1,'a "long" text','need',E'v\u00e4r','chr','o','a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11','{"k":"value"}','[1, "two"]','<a>b</a>','CiText','so so','a word',1234.50,123456,'\x0102030405','2024-01-02 03:04:05.678+00','2024-01-02','192.168.0.1/32',array['longer','x'],'1 day','"a"=>"longer"','top.level',true,'1010','1010101010101010101010101010101010101010','[1,5)'),(2,'ab😀cd','',null,'',null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null)
delete from m_truncate where id=1
insert into m_mask values(1,'a "long" text','need',E'v\u00e4r','chr','o','a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11','{"k":"value"}','[1, "two"]','<a>b</a>','CiText','so so','a word',1234.50,123456,'\x0102030405','2024-01-02 03:04:05.678+00','2024-01-02','192.168.0.1/32',array['longer','x'],'1 day','"a"=>"longer"','top.level',true,'1010','1010101010101010101010101010101010101010','[1,5)'),(2,'ab😀cd','',null,'',null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null)
delete from m_mask where id=1
insert into m_none values(1,'a "long" text','need',E'v\u00e4r','chr','o','a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11','{"k":"value"}','[1, "two"]','<a>b</a>','CiText','so so','a word',1234.50,123456,'\x0102030405','2024-01-02 03:04:05.678+00','2024-01-02','192.168.0.1/32',array['longer','x'],'1 day','"a"=>"longer"','top.level',true,'1010','1010101010101010101010101010101010101010','[1,5)'),(2,'ab😀cd','',null,'',null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null)
delete from m_none where id=1
insert into m_hash values(1,'a "long" text','need',E'v\u00e4r','chr','o','a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11','{"k":"value"}','[1, "two"]','<a>b</a>','CiText','so so','a word',1234.50,123456,'\x0102030405','2024-01-02 03:04:05.678+00','2024-01-02','192.168.0.1/32',array['longer','x'],'1 day','"a"=>"longer"','top.level',true,'1010','1010101010101010101010101010101010101010','[1,5)'),(2,'ab😀cd','',null,'',null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null)
delete from m_hash where id=1
insert into m_v2 values(1,'a "long" text','need',E'v\u00e4r','chr','o','a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11','{"k":"value"}','[1, "two"]','<a>b</a>','CiText','so so','a word',1234.50,123456,'\x0102030405','2024-01-02 03:04:05.678+00','2024-01-02','192.168.0.1/32',array['longer','x'],'1 day','"a"=>"longer"','top.level',true,'1010','1010101010101010101010101010101010101010','[1,5)'),(2,'ab😀cd','',null,'',null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null)
delete from m_v2 where id=1
insert into m_md5 values(1,'a "long" text','need',E'v\u00e4r','chr','o','a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11','{"k":"value"}','[1, "two"]','<a>b</a>','CiText','so so','a word',1234.50,123456,'\x0102030405','2024-01-02 03:04:05.678+00','2024-01-02','192.168.0.1/32',array['longer','x'],'1 day','"a"=>"longer"','top.level',true,'1010','1010101010101010101010101010101010101010','[1,5)'),(2,'ab😀cd','',null,'',null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null)
delete from m_md5 where id=1
insert into m_sha1 values(1,'a "long" text','need',E'v\u00e4r','chr','o','a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11','{"k":"value"}','[1, "two"]','<a>b</a>','CiText','so so','a word',1234.50,123456,'\x0102030405','2024-01-02 03:04:05.678+00','2024-01-02','192.168.0.1/32',array['longer','x'],'1 day','"a"=>"longer"','top.level',true,'1010','1010101010101010101010101010101010101010','[1,5)'),(2,'ab😀cd','',null,'',null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null)
delete from m_sha1 where id=1
insert into m_sha512 values(1,'a "long" text','need',E'v\u00e4r','chr','o','a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11','{"k":"value"}','[1, "two"]','<a>b</a>','CiText','so so','a word',1234.50,123456,'\x0102030405','2024-01-02 03:04:05.678+00','2024-01-02','192.168.0.1/32',array['longer','x'],'1 day','"a"=>"longer"','top.level',true,'1010','1010101010101010101010101010101010101010','[1,5)'),(2,'ab😀cd','',null,'',null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null)
delete from m_sha512 where id=1
insert into m_key values('a long key','a long value')
update m_key set v='another' where k='a long key'
update m_key set k='another key'
delete from m_key
insert into m_both values(1,'a long value')
insert into m_large values(1,1,repeat('x',2500),repeat('y',2500))
update m_large set n=2
insert into x_one values(1,2,'s','r')
update x_one set secret='t'
update x_one set rest='q'
update x_one set k2=3
delete from x_one
insert into x_two values(1,'a','b')
update x_two set a='c'
update x_two set id=2
delete from x_two
insert into k_none values(1,'b','c'),(null,null,null)
update k_none set c='d' where a=1
update k_none set b='e' where a=1
delete from k_none
insert into k_pk values(1,'one','n')
update k_pk set note='o'
update k_pk set code='two'
update k_pk set id=2
delete from k_pk
insert into k_full values(1,'one','n'),(2,null,null)
update k_full set note='o'
update k_full set code='two' where id=1
update k_full set id=3 where id=1
delete from k_full
insert into e_default values(40,'last',null,null,null)
insert into e_given values(1,'a',null,null,2,null),(2,'b',6,'2024-02-29 12:34:56.789',3,'n')
update e_given set note='q' where id=1
update e_given set id=3 where id=2
delete from e_given where id=1
delete from e_given where id=3
